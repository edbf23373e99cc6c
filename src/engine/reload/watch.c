/* Have any of a set of files changed? */
#include "engine/reload/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/reload/file.h"

enum {
    MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF |
           IN_ONLYDIR
};

static const double settle_seconds = 0.02;

/* ---- contents -------------------------------------------------------------------------------- */

void watch_digest(const char *path, char out[SITE_DIGEST_BYTES])
{
    struct buffer whole = {0};
    struct file_state state;
    out[0] = '\0';
    int err = file_read(&whole, &state, path, SIZE_MAX);
    if (err == 0 || err == ERR_AGAIN) /* a file that changes now is looked at again */
        file_digest(out, whole.data, whole.len);
    buffer_deinit(&whole);
}

/* ---- folders --------------------------------------------------------------------------------- */

static void cannot_watch(struct watch *w, const char *path, int reason)
{
    if (w->warned)
        return;
    w->warned = true;
    log_write(w->log, LOG_WARN,
              "%s is not watched for changes: %s; SIGHUP reloads too (sysctl "
              "fs.inotify.max_user_watches)",
              path, strerror(reason));
}

static void want_folder(struct watch *w, const char *path)
{
    for (size_t i = 0; i < w->folder_count; i++) {
        if (strcmp(w->folders[i].path, path) == 0) {
            w->folders[i].wanted = true;
            return;
        }
    }
    int id = inotify_add_watch(w->signs.fd, path, MASK);
    if (id < 0) {
        cannot_watch(w, path, errno);
        return;
    }
    struct watch_folder *more = realloc(w->folders, (w->folder_count + 1) * sizeof(*more));
    if (more)
        w->folders = more;
    char *copy = more ? strdup(path) : NULL;
    if (copy)
        more[w->folder_count++] = (struct watch_folder){.path = copy, .id = id, .wanted = true};
}

/* Watches the nearest folder above path that exists: a missing one may come. */
static void want_folder_of(struct watch *w, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    snprintf(folder, sizeof(folder), "%s", path);
    for (;;) {
        char *slash = strrchr(folder, '/');
        if (!slash)
            strcpy(folder, ".");
        else if (slash == folder)
            folder[1] = '\0';
        else
            *slash = '\0';
        if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode)) {
            want_folder(w, folder);
            return;
        }
        if (!slash || slash == folder)
            return;
    }
}

static void drop_folder(struct watch *w, size_t i)
{
    free(w->folders[i].path);
    w->folders[i] = w->folders[--w->folder_count];
}

/* Two names of one folder share an id, so one that is no longer wanted may still be in use. */
static bool id_in_use(const struct watch *w, int id)
{
    for (size_t i = 0; i < w->folder_count; i++) {
        if (w->folders[i].id == id)
            return true;
    }
    return false;
}

static void choose_folders(struct watch *w)
{
    char real[PATH_MAX];
    for (size_t i = 0; i < w->folder_count; i++)
        w->folders[i].wanted = false;
    for (size_t i = 0; i < w->file_count; i++) {
        want_folder_of(w, w->files[i].path);
        if (realpath(w->files[i].path, real)) /* what a link points to */
            want_folder_of(w, real);
    }
    for (size_t i = w->folder_count; i-- > 0;) {
        int id = w->folders[i].id;
        if (w->folders[i].wanted)
            continue;
        drop_folder(w, i);
        if (!id_in_use(w, id))
            inotify_rm_watch(w->signs.fd, id);
    }
}

static const char *folder_of(const struct watch *w, int id)
{
    for (size_t i = 0; i < w->folder_count; i++) {
        if (w->folders[i].id == id)
            return w->folders[i].path;
    }
    return NULL;
}

/* ---- signs of change ------------------------------------------------------------------------- */

static bool is_ours(const struct watch *w, const char *name)
{
    for (size_t i = 0; i < w->file_count; i++) {
        const char *slash = strrchr(w->files[i].path, '/');
        if (strcmp(slash ? slash + 1 : w->files[i].path, name) == 0)
            return true;
    }
    return false;
}

/* Is a file only begun? Then its end (IN_CLOSE_WRITE) counts. */
static bool is_begun(const struct watch *w, const struct inotify_event *e)
{
    const char *folder = folder_of(w, e->wd);
    return !folder || e->len == 0 || signs_begun(folder, e->name);
}

/* Notes that a file is being written, or that it is done. */
static void note_writing(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & (IN_MODIFY | IN_CREATE)) {
        snprintf(w->writing, sizeof(w->writing), "%s", e->name);
        w->writing_us = clock_monotonic_us();
    } else if (strcmp(w->writing, e->name) == 0) {
        w->writing[0] = '\0';
    }
}

static void on_sign(struct signs *signs, const struct inotify_event *e)
{
    struct watch *w = signs->owner;
    bool ours = e->len > 0 && is_ours(w, e->name);
    if (ours && !((e->mask & IN_CREATE) && !is_begun(w, e)))
        note_writing(w, e);
    if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
        for (size_t i = w->folder_count; i-- > 0;) {
            if (w->folders[i].id == e->wd)
                drop_folder(w, i); /* choose_folders watches it anew */
        }
        if (!(e->mask & IN_IGNORED))
            (void)inotify_rm_watch(w->signs.fd, e->wd);
        signs_arm(signs, true);
    } else if (e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_Q_OVERFLOW)) {
        signs_arm(signs, ours);
    } else if ((e->mask & IN_CREATE) && !is_begun(w, e)) {
        signs_arm(signs, ours);
    } else if (ours && signs_armed(signs)) {
        signs_arm(signs, true); /* it is being written: wait for more */
    }
}

bool watch_busy(struct watch *w)
{
    if (!w->signs.loop)
        return false;
    signs_read(&w->signs);
    return w->writing[0] && clock_monotonic_us() - w->writing_us < SIGNS_LONGEST_US;
}

static void settled(struct signs *signs)
{
    struct watch *w = signs->owner;
    uint64_t first_us = signs->first_us;
    bool changed = false;
    if (watch_busy(w)) {
        signs_arm(signs, true);
        signs->first_us = first_us;
        return;
    }
    choose_folders(w);
    for (size_t i = 0; i < w->file_count; i++) {
        char digest[SITE_DIGEST_BYTES];
        watch_digest(w->files[i].path, digest);
        changed = changed || strcmp(digest, w->files[i].digest) != 0;
        strcpy(w->files[i].digest, digest);
    }
    if (changed)
        w->changed(w, first_us);
}

/* ---- the set --------------------------------------------------------------------------------- */

static void forget(struct site_file **files, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*files)[i].path);
    free(*files);
    *files = NULL;
    *count = 0;
}

static struct site_file *find(struct site_file *files, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}

void watch_begin(struct watch *w)
{
    w->before = w->files;
    w->before_count = w->file_count;
    w->files = NULL;
    w->file_count = 0;
}

void watch_add(struct watch *w, const char *path, const char *digest)
{
    if (!w->signs.loop || find(w->files, w->file_count, path))
        return;
    struct site_file *more = realloc(w->files, (w->file_count + 1) * sizeof(*more));
    if (more)
        w->files = more;
    char *copy = more ? strdup(path) : NULL;
    if (!copy)
        return;
    struct site_file *f = &w->files[w->file_count++];
    *f = (struct site_file){.path = copy};
    snprintf(f->digest, sizeof(f->digest), "%s", digest);
}

void watch_keep(struct watch *w, const char *path)
{
    char now[SITE_DIGEST_BYTES];
    const struct site_file *had = find(w->before, w->before_count, path);
    if (!had)
        watch_digest(path, now);
    watch_add(w, path, had ? had->digest : now);
}

void watch_keep_all(struct watch *w)
{
    for (size_t i = 0; i < w->before_count; i++)
        watch_add(w, w->before[i].path, w->before[i].digest);
}

void watch_look(struct watch *w, const char *path)
{
    char now[SITE_DIGEST_BYTES];
    watch_digest(path, now);
    struct site_file *had = find(w->files, w->file_count, path);
    if (had)
        strcpy(had->digest, now);
    else
        watch_add(w, path, now);
}

void watch_end(struct watch *w)
{
    forget(&w->before, &w->before_count);
    if (!w->signs.loop)
        return;
    choose_folders(w);
    /* A file may have changed after it was read and before its folder was watched. */
    for (size_t i = 0; i < w->file_count; i++) {
        char digest[SITE_DIGEST_BYTES];
        watch_digest(w->files[i].path, digest);
        if (strcmp(digest, w->files[i].digest) != 0)
            signs_arm(&w->signs, false);
    }
}

int watch_init(struct watch *w, struct ev_loop *loop, const struct log *log,
               void (*changed)(struct watch *w, uint64_t first_us))
{
    *w = (struct watch){.log = log, .changed = changed};
    int err = signs_init(&w->signs, loop, settle_seconds, on_sign, settled);
    w->signs.owner = w;
    return err;
}

void watch_deinit(struct watch *w)
{
    if (!w->signs.loop)
        return;
    signs_deinit(&w->signs);
    forget(&w->files, &w->file_count);
    forget(&w->before, &w->before_count);
    for (size_t i = 0; i < w->folder_count; i++)
        free(w->folders[i].path);
    free(w->folders);
    *w = (struct watch){0};
}
