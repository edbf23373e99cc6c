#include "engine/control/control_place.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { PLACES = 3 };

static const char suffix[] = ".sock";

struct places {
    char folders[PLACES][CONTROL_PATH_BYTES]; /* the best first */
    unsigned count;
    unsigned too_long;
};

static void add(struct places *p, const char *parent, size_t parent_len, const char *name)
{
    int n =
        snprintf(p->folders[p->count], CONTROL_PATH_BYTES, "%.*s%s", (int)parent_len, parent, name);
    if (n < CONTROL_PATH_BYTES)
        p->count++;
    else
        p->too_long++;
}

static void find_places(struct places *p)
{
    *p = (struct places){0};
    const char *service = getenv("RUNTIME_DIRECTORY");
    const char *session = getenv("XDG_RUNTIME_DIR");
    if (service && service[0] == '/') { /* several: with colons between (systemd.exec(5)) */
        add(p, service, strcspn(service, ":"), "/moonwire");
        return;
    }
    if (session && session[0] == '/') /* one that is not absolute is to be ignored */
        add(p, session, strlen(session), "/moonwire");
    if (geteuid() == 0)
        add(p, "/run", 4, "/moonwire");
    char own[32];
    snprintf(own, sizeof(own), "/moonwire-%lu", (unsigned long)geteuid());
    add(p, "/tmp", 4, own);
}

/* Can nobody else take the folder's place? */
static bool parent_is_safe(const char *path)
{
    char parent[CONTROL_PATH_BYTES];
    struct stat st;
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    slash[slash == parent ? 1 : 0] = '\0';
    if (stat(parent, &st) || (st.st_uid != geteuid() && st.st_uid != 0))
        return false;
    return (st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX);
}

static bool is_private(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0 && parent_is_safe(path);
}

static int make(const char *folder, char why[CONTROL_PATH_WHY_BYTES])
{
    if (mkdir(folder, 0700) && errno != EEXIST) {
        snprintf(why, CONTROL_PATH_WHY_BYTES, "cannot make the folder %.100s: %s", folder,
                 strerrordesc_np(errno));
        return ERR_IO;
    }
    if (!is_private(folder)) {
        snprintf(why, CONTROL_PATH_WHY_BYTES,
                 "%.100s is not a folder of this user that is closed to all others", folder);
        return ERR_IO;
    }
    return 0;
}

int control_place(char out[CONTROL_PATH_BYTES], char why[CONTROL_PATH_WHY_BYTES])
{
    struct places p;
    find_places(&p);
    bool too_long = p.too_long > 0;
    int err = ERR_NOT_FOUND;
    for (unsigned i = 0; i < p.count && err; i++) {
        int n = snprintf(out, CONTROL_PATH_BYTES, "%s/%ld%s", p.folders[i], (long)getpid(), suffix);
        if (n < CONTROL_PATH_BYTES)
            err = make(p.folders[i], why);
        else
            too_long = true;
    }
    if (err == ERR_NOT_FOUND && too_long)
        snprintf(why, CONTROL_PATH_WHY_BYTES,
                 "the path of the runtime directory is too long for a socket: at most %d bytes fit",
                 CONTROL_PATH_BYTES - 1);
    return err;
}

/* "4711.sock" */
static bool is_socket_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, suffix) == 0;
}

long control_find(char *out, size_t size)
{
    struct places p;
    size_t len = 0;
    long err = 0;
    find_places(&p);
    for (unsigned i = 0; i < p.count && !err; i++) {
        DIR *folder = is_private(p.folders[i]) ? opendir(p.folders[i]) : NULL;
        const struct dirent *entry;
        while (folder && !err && (entry = readdir(folder))) {
            if (!is_socket_name(entry->d_name))
                continue;
            int n = snprintf(out + len, size - len, "%s/%s", p.folders[i], entry->d_name);
            if (n < CONTROL_PATH_BYTES && (size_t)n < size - len)
                len += (size_t)n + 1;
            else if (n < CONTROL_PATH_BYTES)
                err = ERR_TOO_BIG;
        }
        if (folder)
            closedir(folder);
    }
    return err ? err : (long)len;
}
