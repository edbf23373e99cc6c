/* The folders of control sockets. */
#include "engine/control/control_place.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
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
    char folders[PLACES][CONTROL_PATH_BYTES]; /* in order of preference */
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
    if (service && service[0] == '/') { /* a list with colons (systemd.exec(5)) */
        add(p, service, strcspn(service, ":"), "/moonwire");
        return;
    }
    if (session && session[0] == '/') /* a relative path is to be ignored */
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

/* Appends a path with its NUL. 0, or ERR_TOO_BIG. */
static int append(char *out, size_t size, size_t *len, const char *path)
{
    size_t n = strlen(path) + 1;
    if (n > size - *len)
        return ERR_TOO_BIG;
    memcpy(out + *len, path, n);
    *len += n;
    return 0;
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
            char path[CONTROL_PATH_BYTES];
            int n = snprintf(path, sizeof(path), "%s/%s", p.folders[i], entry->d_name);
            if (n < CONTROL_PATH_BYTES)
                err = append(out, size, &len, path);
        }
        if (folder)
            closedir(folder);
    }
    return err ? err : (long)len;
}

/* ---- other users ----------------------------------------------------------------------------- */

/* Is it PID.sock of a process whose user owns the socket and its folder, which is closed to
 * others? */
static bool is_of_other(const char *path)
{
    char folder[CONTROL_PATH_BYTES], process[64];
    struct stat of_socket, of_folder, of_process;
    size_t len = strlen(path);
    const char *slash = strrchr(path, '/');
    if (len >= sizeof(folder) || !is_socket_name(slash + 1) || lstat(path, &of_socket))
        return false;
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    snprintf(process, sizeof(process), "/proc/%.20s", slash + 1);
    process[strcspn(process, ".")] = '\0';
    if (lstat(folder, &of_folder) || stat(process, &of_process))
        return false;
    return S_ISSOCK(of_socket.st_mode) && S_ISDIR(of_folder.st_mode) &&
           (of_folder.st_mode & 077) == 0 && of_folder.st_uid != geteuid() &&
           of_socket.st_uid == of_folder.st_uid && of_process.st_uid == of_folder.st_uid;
}

long control_find_others(char *out, size_t size)
{
    static const char *const places[] = {"/run/*/moonwire/*.sock", "/run/user/*/moonwire/*.sock",
                                         "/tmp/moonwire-*/*.sock"};
    glob_t found = {0};
    size_t len = 0;
    long err = 0;
    if (geteuid() != 0)
        return 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        (void)glob(places[i], i ? GLOB_APPEND : 0, NULL,
                   &found); /* a failure keeps what was found */
    for (size_t i = 0; i < found.gl_pathc && !err; i++) {
        if (is_of_other(found.gl_pathv[i]))
            err = append(out, size, &len, found.gl_pathv[i]);
    }
    globfree(&found);
    return err ? err : (long)len;
}
