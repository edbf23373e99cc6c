/* Finds files that must not be public in the folders that an app serves. */
#include "engine/ground/site_folders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

/* Is the file in this folder, or below it? One that is not there is in none. Folders are compared
 * by what they are, not by name: the same one may be mounted at two places. */
static bool holds(const struct stat *folder, const char *path)
{
    char real[PATH_MAX];
    struct stat parent;
    if (!realpath(path, real))
        return false;
    for (char *slash = strrchr(real, '/'); slash; slash = strrchr(real, '/')) {
        slash[slash == real] = '\0'; /* the root keeps its slash */
        if (stat(real, &parent) == 0 && parent.st_dev == folder->st_dev &&
            parent.st_ino == folder->st_ino)
            return true;
        if (slash == real)
            break;
    }
    return false;
}

static int refuse(struct site *s, const struct site_route *r, const char *path, const char *what)
{
    return site_fail(s, ERR_INVALID,
                     "the folder %s holds %s, %s, which nobody must be able to fetch: keep what is "
                     "public in a folder of its own, as in mw.static(\"/\", \"public\")",
                     r->folder_path, path, what);
}

int site_check_folder(struct site *s, int route)
{
    const struct site_route *r = &s->routes[route];
    struct stat folder;
    if (r->kind != SITE_STATIC || fstat(r->folder, &folder) < 0)
        return 0;
    for (size_t i = 0; i < s->file_count; i++) {
        const struct site_file *f = &s->files[i];
        if (f->digest[0] && holds(&folder, f->path))
            return refuse(s, r, f->path, i == 0 ? "the app's own file" : "a module of the app");
    }
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct site_listener *l = &s->listeners[i];
        for (size_t j = 0; j < l->certificate_count; j++) {
            const struct site_certificate *c = &l->certificates[j];
            const char *key = c->key_path ? c->key_path : c->cert_path;
            if (holds(&folder, key))
                return refuse(s, r, key, "a listener's private key");
        }
    }
    return 0;
}
