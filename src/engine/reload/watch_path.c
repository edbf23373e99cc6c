/* From a path to its file, name by name. */
#include "engine/reload/watch_path.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* as the system has it */

struct walk {
    char folder[PATH_MAX];   /* where the next name is looked up */
    char left[2 * PATH_MAX]; /* the names that are still to come */
    uint32_t links;
};

/* Takes the next name off those that are left. False: there is none. */
static bool next_name(struct walk *w, char name[NAME_MAX + 1])
{
    size_t from = strspn(w->left, "/");
    size_t len = strcspn(w->left + from, "/");
    if (len == 0 || len > NAME_MAX)
        return false;
    memcpy(name, w->left + from, len);
    name[len] = '\0';
    memmove(w->left, w->left + from + len, strlen(w->left + from + len) + 1);
    return true;
}

static bool join(char out[PATH_MAX], const char *folder, const char *name)
{
    const char *slash = strcmp(folder, "/") == 0 ? "" : "/";
    int n = snprintf(out, PATH_MAX, "%s%s%s", folder, slash, name);
    return n >= 0 && n < PATH_MAX;
}

/* The names of the link come before those that are left. */
static bool follow(struct walk *w, const char *link)
{
    char target[PATH_MAX];
    char rest[sizeof(w->left)];
    ssize_t len = readlink(link, target, sizeof(target) - 1);
    if (len <= 0 || ++w->links > LINKS_MAX)
        return false;
    target[len] = '\0';
    if (target[0] == '/')
        strcpy(w->folder, "/");
    strcpy(rest, w->left);
    int n = snprintf(w->left, sizeof(w->left), "%s/%s", target, rest);
    return n >= 0 && n < (int)sizeof(w->left);
}

static bool begin(struct walk *w, const char *start, const char *path)
{
    bool whole = path[0] == '/' || start[0] == '\0';
    strcpy(w->folder, path[0] == '/' || start[0] ? "/" : ".");
    int n = whole ? snprintf(w->left, sizeof(w->left), "%s", path)
                  : snprintf(w->left, sizeof(w->left), "%s/%s", start, path);
    return n >= 0 && n < (int)sizeof(w->left);
}

void watch_path_walk(const char *start, const char *path,
                     void (*step)(void *owner, const char *folder, const char *name), void *owner)
{
    struct walk w = {.links = 0};
    char name[NAME_MAX + 1];
    char at[PATH_MAX];
    struct stat st;
    if (!begin(&w, start, path))
        return;
    while (next_name(&w, name)) {
        if (strcmp(name, ".") == 0 || !join(at, w.folder, name))
            continue;
        step(owner, w.folder, name);
        if (lstat(at, &st))
            return;
        if (!S_ISLNK(st.st_mode))
            strcpy(w.folder, at);
        else if (!follow(&w, at))
            return;
    }
}

bool watch_path_is_blind(const char *folder)
{
    static const uint32_t types[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB 2 */
        0x65735546, /* FUSE: sshfs, virtiofs */
        0x01021997, /* 9P: folders of a virtual machine's host */
        0x786F4256, /* VirtualBox's shared folders */
        0x00C36400, /* Ceph */
        0x0BD00BD0, /* Lustre */
        0x5346414F, /* AFS */
        0x6B414653, /* AFS, the kernel's own */
        0x73757245, /* Coda */
        0x7461636F, /* OCFS2 */
        0x01161970, /* GFS2 */
        0x564C,     /* NCP */
    };
    struct statfs fs;
    if (statfs(folder, &fs))
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if ((uint32_t)fs.f_type == types[i])
            return true;
    }
    return false;
}
