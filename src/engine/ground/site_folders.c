/* Finds files that must not be public in the folders that an app serves. */
#include "engine/ground/site_folders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

/* A walk over the files that must not be public. */
struct walk {
    size_t file;
    size_t listener;
    size_t certificate;
    const char *what; /* for people: what the file is */
};

/* The path of the next one, or NULL. */
static const char *next_private(const struct site *s, struct walk *at)
{
    while (at->file < s->file_count) {
        const struct site_file *f = &s->files[at->file];
        at->what = at->file == 0 ? "the app's own file" : "a module of the app";
        at->file++;
        if (f->digest[0])
            return f->path;
    }
    at->what = "a listener's private key";
    for (; at->listener < s->listener_count; at->listener++, at->certificate = 0) {
        const struct site_listener *l = &s->listeners[at->listener];
        if (at->certificate < l->certificate_count) {
            const struct site_certificate *c = &l->certificates[at->certificate++];
            return c->key_path ? c->key_path : c->cert_path;
        }
    }
    return NULL;
}

/* Notes which files those are, once for all folders. */
static int note_privates(struct site *s)
{
    struct walk at = {0};
    struct stat st;
    for (const char *path = next_private(s, &at); path; path = next_private(s, &at)) {
        if (stat(path, &st) < 0)
            continue;
        struct site_private *more =
            site_grow(s, s->privates, s->private_count, sizeof(*s->privates));
        if (!more)
            return ERR_MEMORY;
        s->privates = more;
        more[s->private_count++] = (struct site_private){st.st_dev, st.st_ino};
    }
    return 0;
}

bool site_is_private(const struct site *s, const struct stat *file)
{
    for (size_t i = 0; i < s->private_count; i++)
        if (s->privates[i].inode == file->st_ino && s->privates[i].device == file->st_dev)
            return true;
    return false;
}

int site_check_folder(struct site *s, int route)
{
    const struct site_route *r = &s->routes[route];
    struct stat folder;
    if (r->kind != SITE_STATIC || fstat(r->folder, &folder) < 0)
        return 0;
    if (s->private_count == 0 && note_privates(s) < 0)
        return ERR_MEMORY;
    struct walk at = {0};
    for (const char *path = next_private(s, &at); path; path = next_private(s, &at))
        if (holds(&folder, path))
            return refuse(s, r, path, at.what);
    return 0;
}
