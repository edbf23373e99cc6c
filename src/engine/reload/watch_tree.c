/* Did anything change in folders, or below? */
#include "engine/reload/watch_tree.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_MODIFY |
           IN_ONLYDIR | IN_EXCL_UNLINK
};

/* Longer than for the app's files: a tool that builds pages writes many. */
static const double settle_seconds = 0.05;
static const double look_seconds = 0.1;

/* ---- names ----------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_ignored(const char *name)
{
    static const char *const names[] = {"node_modules", "4913" /* Vim's probe */};
    static const char *const ends[] = {"~",    ".swp", ".swx",         ".tmp",
                                       ".bak", ".lua", "___jb_tmp___", "___jb_old___"};
    if (name[0] == '.')
        return strcmp(name, ".well-known") != 0;
    if (name[0] == '#' && ends_with(name, "#"))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends_with(name, ends[i]))
            return true;
    }
    return false;
}

/* False: the path is too long. */
static bool join(char out[PATH_MAX], const char *folder, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return n >= 0 && n < PATH_MAX;
}

/* ---- folders --------------------------------------------------------------------------------- */

static void warn(struct watch_tree *t, const char *path, const char *why)
{
    if (t->warned)
        return;
    t->warned = true;
    log_write(t->log, LOG_WARN, "%s is not watched, its pages do not reload by themselves: %s",
              path, why);
}

/* True: the folder is watched from now on, and was not before. */
static bool add_folder(struct watch_tree *t, const char *path, uint32_t flags)
{
    if (t->folder_count >= t->most) {
        char why[96];
        snprintf(why, sizeof(why), "limits.watched_folders is %u", t->most);
        warn(t, path, why);
        return false;
    }
    int id = inotify_add_watch(t->signs.fd, path, MASK | flags);
    if (id < 0) {
        if (errno == ENOSPC)
            warn(t, path, "the system gives no more watches (sysctl fs.inotify.max_user_watches)");
        else if (errno != ENOENT && errno != ENOTDIR) /* it is gone again, or it is a link */
            warn(t, path, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < t->folder_count; i++) {
        if (t->folders[i].id == id)
            return false; /* one folder of mw.static lies in another */
    }
    struct tree_folder *more = realloc(t->folders, (t->folder_count + 1) * sizeof(*more));
    if (more)
        t->folders = more;
    char *copy = more ? strdup(path) : NULL;
    if (!copy) {
        (void)inotify_rm_watch(t->signs.fd, id);
        return false;
    }
    more[t->folder_count++] = (struct tree_folder){id, copy};
    return true;
}

static bool is_folder(const char *path, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Watches the folders in a folder, which is watched itself. Returns whether there is a file that
 * counts. */
static bool look_into(struct watch_tree *t, const char *path)
{
    char child[PATH_MAX];
    bool files = false;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (is_ignored(entry->d_name) || !join(child, path, entry->d_name))
            continue;
        if (is_folder(child, entry))
            (void)add_folder(t, child, IN_DONT_FOLLOW);
        else
            files = true;
    }
    if (folder)
        closedir(folder);
    return files;
}

/* Watches a folder and all below. Returns whether there are files. */
static bool add_below(struct watch_tree *t, const char *path, uint32_t flags)
{
    bool files = false;
    size_t first = t->folder_count;
    if (!add_folder(t, path, flags))
        return false;
    for (size_t i = first; i < t->folder_count; i++) {
        if (look_into(t, t->folders[i].path)) /* appends to them */
            files = true;
    }
    return files;
}

static bool is_root(const struct watch_tree *t, const char *path)
{
    for (size_t i = 0; i < t->root_count; i++) {
        if (strcmp(t->roots[i].path, path) == 0)
            return true;
    }
    return false;
}

static void drop_folder(struct watch_tree *t, size_t i)
{
    if (is_root(t, t->folders[i].path))
        ev_timer_again(t->loop, &t->look);
    free(t->folders[i].path);
    t->folders[i] = t->folders[--t->folder_count];
}

/* A folder was moved away, or removed, with all below. */
static void drop_below(struct watch_tree *t, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = t->folder_count; i-- > 0;) {
        const char *other = t->folders[i].path;
        if (strncmp(other, path, len) != 0 || (other[len] != '\0' && other[len] != '/'))
            continue;
        (void)inotify_rm_watch(t->signs.fd, t->folders[i].id); /* a removed one has none */
        drop_folder(t, i);
    }
}

static struct tree_folder *folder_of(struct watch_tree *t, int id)
{
    for (size_t i = 0; i < t->folder_count; i++) {
        if (t->folders[i].id == id)
            return &t->folders[i];
    }
    return NULL;
}

/* ---- signs of change ------------------------------------------------------------------------- */

static void note(struct watch_tree *t, const char *name)
{
    if (!ends_with(name, ".css"))
        t->styles_only = false;
    signs_arm(&t->signs, true);
}

static void folder_sign(struct watch_tree *t, const char *path, uint32_t mask)
{
    if (mask & (IN_MOVED_FROM | IN_DELETE)) {
        drop_below(t, path);
        note(t, "");
    } else if ((mask & (IN_CREATE | IN_MOVED_TO)) && add_below(t, path, IN_DONT_FOLLOW)) {
        note(t, ""); /* with files in it */
    }
}

static void file_sign(struct watch_tree *t, const struct tree_folder *f,
                      const struct inotify_event *e)
{
    if (e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE))
        note(t, e->name);
    else if ((e->mask & IN_CREATE) && !signs_begun(f->path, e->name))
        note(t, e->name);
    else if (signs_armed(&t->signs))
        signs_arm(&t->signs, true); /* it is being written: wait for more */
}

static void watch_root(struct watch_tree *t, struct tree_root *root, const struct stat *st)
{
    root->device = st->st_dev;
    root->inode = st->st_ino;
    (void)add_below(t, root->path, IN_MOVE_SELF);
}

static bool find_folder(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && S_ISDIR(st->st_mode);
}

static void watch_roots(struct watch_tree *t)
{
    struct stat st;
    for (size_t i = 0; i < t->root_count; i++) {
        if (find_folder(t->roots[i].path, &st))
            watch_root(t, &t->roots[i], &st);
    }
}

static bool is_watched(const struct watch_tree *t, const char *path)
{
    for (size_t i = 0; i < t->folder_count; i++) {
        if (strcmp(t->folders[i].path, path) == 0)
            return true;
    }
    return false;
}

/* The app holds its folders open, so the system does not tell of their removal, only of their
 * files'. */
static void drop_lost_roots(struct watch_tree *t)
{
    struct stat st;
    for (size_t i = 0; i < t->root_count; i++) {
        const struct tree_root *root = &t->roots[i];
        if (!find_folder(root->path, &st) || st.st_dev != root->device || st.st_ino != root->inode)
            drop_below(t, root->path);
    }
}

/* A tool that builds pages may begin with an empty folder. Nothing tells when it comes, since the
 * folder around it may be gone too. */
static void look_for_roots(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct watch_tree *t = timer->data;
    struct stat st;
    bool missing = false;
    bool back = false;
    for (size_t i = 0; i < t->root_count; i++) {
        if (is_watched(t, t->roots[i].path))
            continue;
        if (!find_folder(t->roots[i].path, &st)) {
            missing = true;
            continue;
        }
        watch_root(t, &t->roots[i], &st);
        back = true;
    }
    if (!missing)
        ev_timer_stop(loop, timer);
    if (back && t->returned)
        t->returned(t);
}

static void on_sign(struct signs *signs, const struct inotify_event *e)
{
    struct watch_tree *t = signs->owner;
    char path[PATH_MAX];
    if (e->mask & IN_Q_OVERFLOW) { /* folders may have come and gone */
        while (t->folder_count > 0) {
            (void)inotify_rm_watch(t->signs.fd, t->folders[t->folder_count - 1].id);
            drop_folder(t, t->folder_count - 1);
        }
        watch_roots(t);
        note(t, "");
        return;
    }
    struct tree_folder *f = folder_of(t, e->wd);
    if (!f)
        return;
    if (e->mask & IN_IGNORED)
        drop_folder(t, (size_t)(f - t->folders));
    else if (e->mask & IN_MOVE_SELF)
        drop_below(t, strcpy(path, f->path)); /* a root: it has no parent that tells */
    else if (e->len == 0 || is_ignored(e->name) || !join(path, f->path, e->name))
        return;
    else if (e->mask & IN_ISDIR)
        folder_sign(t, path, e->mask);
    else
        file_sign(t, f, e);
}

static void settled(struct signs *signs)
{
    struct watch_tree *t = signs->owner;
    bool styles_only = t->styles_only;
    t->styles_only = true;
    drop_lost_roots(t);
    t->changed(t, styles_only);
}

/* ---- the roots ------------------------------------------------------------------------------- */

static void forget(struct watch_tree *t)
{
    signs_deinit(&t->signs);
    ev_timer_stop(t->loop, &t->look);
    for (size_t i = 0; i < t->folder_count; i++)
        free(t->folders[i].path);
    for (size_t i = 0; i < t->root_count; i++)
        free(t->roots[i].path);
    free(t->folders);
    free(t->roots);
    t->folders = NULL;
    t->roots = NULL;
    t->folder_count = t->root_count = 0;
    t->warned = false;
    t->styles_only = true;
}

static bool same_roots(const struct watch_tree *t, const char *const *roots, size_t count)
{
    if (count != t->root_count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(roots[i], t->roots[i].path) != 0)
            return false;
    }
    return true;
}

static void keep_roots(struct watch_tree *t, const char *const *roots, size_t count)
{
    t->roots = calloc(count, sizeof(*t->roots));
    for (size_t i = 0; t->roots && i < count; i++) {
        t->roots[t->root_count].path = strdup(roots[i]);
        if (t->roots[t->root_count].path)
            t->root_count++;
    }
}

void watch_tree_set(struct watch_tree *t, const char *const *roots, size_t count, uint32_t most)
{
    if (most == t->most && same_roots(t, roots, count))
        return;
    forget(t);
    t->most = most;
    if (count == 0)
        return;
    keep_roots(t, roots, count);
    if (signs_init(&t->signs, t->loop, settle_seconds, on_sign, settled)) {
        warn(t, roots[0], "the system gives no inotify (sysctl fs.inotify.max_user_instances)");
        return;
    }
    t->signs.owner = t;
    watch_roots(t);
}

void watch_tree_init(struct watch_tree *t, struct ev_loop *loop, const struct log *log,
                     void (*changed)(struct watch_tree *t, bool styles_only))
{
    *t = (struct watch_tree){.loop = loop, .log = log, .styles_only = true, .changed = changed};
    ev_timer_init(&t->look, look_for_roots, look_seconds, look_seconds);
    t->look.data = t;
}

void watch_tree_deinit(struct watch_tree *t)
{
    if (!t->loop)
        return;
    forget(t);
    *t = (struct watch_tree){0};
}
