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
#include "engine/reload/watch_path.h"

enum {
    FILE_MASK = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB,
    PATH_MASK = IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
    FOLDER_MASK = PATH_MASK | IN_CLOSE_WRITE | IN_MODIFY
};

static const double settle_seconds = 0.02;
static const double look_seconds = 2; /* docs/reload.md */

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

/* ---- places ---------------------------------------------------------------------------------- */

/* It is looked at every two seconds instead. */
static void cannot_watch(struct watch *w, const char *path, int reason)
{
    w->blind = true;
    if (w->warned || reason == EACCES) /* a folder above the app, which is not ours to read */
        return;
    w->warned = true;
    log_write(w->log, LOG_WARN,
              "%s is not watched for changes, but looked at every %d seconds: %s (sysctl "
              "fs.inotify.max_user_watches)",
              path, (int)look_seconds, strerror(reason));
}

static struct watch_place *find_place(const struct watch *w, const char *path)
{
    for (size_t i = 0; i < w->place_count; i++) {
        if (strcmp(w->places[i].path, path) == 0)
            return &w->places[i];
    }
    return NULL;
}

/* Two names of one place share an id, so one that is no longer wanted may still be in use. */
static bool id_in_use(const struct watch *w, int id)
{
    for (size_t i = 0; i < w->place_count; i++) {
        if (w->places[i].id == id)
            return true;
    }
    return false;
}

/* Watches what has this path now, which may be another thing than the last time. */
static void want_place(struct watch *w, const char *path, uint32_t mask)
{
    struct watch_place *p = find_place(w, path);
    if (p && p->wanted && (mask & ~p->mask) == 0)
        return;
    int id = inotify_add_watch(w->signs.fd, path, mask | IN_MASK_ADD);
    if (id < 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            cannot_watch(w, path, errno);
        return;
    }
    if (!p) {
        struct watch_place *more = realloc(w->places, (w->place_count + 1) * sizeof(*more));
        if (more)
            w->places = more;
        char *copy = more ? strdup(path) : NULL;
        if (!copy)
            return;
        p = &more[w->place_count++];
        *p = (struct watch_place){.path = copy, .id = id};
    }
    int before = p->id;
    p->id = id;
    p->mask = mask | (p->wanted ? p->mask : 0);
    p->wanted = true;
    if (before != id && !id_in_use(w, before))
        (void)inotify_rm_watch(w->signs.fd, before);
}

static void drop_place(struct watch *w, size_t i)
{
    free(w->places[i].path);
    w->places[i] = w->places[--w->place_count];
}

static void add_name(struct watch *w, const char *name)
{
    for (size_t i = 0; i < w->name_count; i++) {
        if (strcmp(w->names[i], name) == 0)
            return;
    }
    char **more = realloc(w->names, (w->name_count + 1) * sizeof(*more));
    if (!more)
        return;
    w->names = more;
    w->names[w->name_count] = strdup(name);
    w->name_count += w->names[w->name_count] != NULL;
}

static void forget_names(struct watch *w)
{
    for (size_t i = 0; i < w->name_count; i++)
        free(w->names[i]);
    free(w->names);
    w->names = NULL;
    w->name_count = 0;
}

static void want_step(void *owner, const char *folder, const char *name)
{
    struct watch *w = owner;
    struct stat st;
    char path[PATH_MAX];
    add_name(w, name);
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    bool found = n > 0 && n < (int)sizeof(path) && lstat(path, &st) == 0;
    bool is_file = found && S_ISREG(st.st_mode);
    want_place(w, folder, is_file || !found ? FOLDER_MASK : PATH_MASK);
    if (is_file)
        want_place(w, path, FILE_MASK);
    if ((is_file || !found) && watch_path_is_blind(folder))
        w->blind = true;
}

static void choose_places(struct watch *w)
{
    w->blind = false;
    forget_names(w);
    for (size_t i = 0; i < w->place_count; i++)
        w->places[i].wanted = false;
    for (size_t i = 0; i < w->file_count; i++)
        watch_path_walk(w->start->path, w->files[i].path, want_step, w);
    for (size_t i = w->place_count; i-- > 0;) {
        int id = w->places[i].id;
        if (w->places[i].wanted)
            continue;
        drop_place(w, i);
        if (!id_in_use(w, id))
            (void)inotify_rm_watch(w->signs.fd, id);
    }
    if (w->blind && !ev_is_active(&w->look))
        ev_timer_again(w->signs.loop, &w->look);
    else if (!w->blind)
        ev_timer_stop(w->signs.loop, &w->look);
}

static const struct watch_place *place_of(const struct watch *w, int id)
{
    for (size_t i = 0; i < w->place_count; i++) {
        if (w->places[i].id == id)
            return &w->places[i];
    }
    return NULL;
}

/* ---- signs of change ------------------------------------------------------------------------- */

static bool is_ours(const struct watch *w, const char *name)
{
    for (size_t i = 0; i < w->name_count; i++) {
        if (strcmp(w->names[i], name) == 0)
            return true;
    }
    return false;
}

/* Is a file only begun? Then its end (IN_CLOSE_WRITE) counts. */
static bool is_begun(const struct watch_place *p, const struct inotify_event *e)
{
    return !p || e->len == 0 || signs_begun(p->path, e->name);
}

/* Notes that a file is being written, or that it is done. */
static void note_writing(struct watch *w, const char *name, uint32_t mask)
{
    if (mask & (IN_MODIFY | IN_CREATE)) {
        snprintf(w->writing, sizeof(w->writing), "%s", name);
        w->writing_us = clock_monotonic_us();
    } else if (strcmp(w->writing, name) == 0) {
        w->writing[0] = '\0';
    }
}

/* choose_places watches it anew. */
static void forget_place(struct watch *w, const struct inotify_event *e)
{
    for (size_t i = w->place_count; i-- > 0;) {
        if (w->places[i].id == e->wd)
            drop_place(w, i);
    }
    if (!(e->mask & IN_IGNORED))
        (void)inotify_rm_watch(w->signs.fd, e->wd);
    signs_arm(&w->signs, true);
}

/* Of a file by whatever name. Its folder tells the same if the name is the one that we know. */
static void file_sign(struct watch *w, const struct watch_place *p, uint32_t mask)
{
    const char *slash = strrchr(p->path, '/');
    if (mask & (IN_MODIFY | IN_CLOSE_WRITE))
        note_writing(w, slash ? slash + 1 : p->path, mask);
    signs_arm(&w->signs, true);
}

static void folder_sign(struct watch *w, const struct watch_place *p, const struct inotify_event *e)
{
    bool ours = e->len > 0 && is_ours(w, e->name);
    bool created = (e->mask & IN_CREATE) && !is_begun(p, e);
    if (ours && !created && !(e->mask & IN_ISDIR))
        note_writing(w, e->name, e->mask);
    if (created || (e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_Q_OVERFLOW)))
        signs_arm(&w->signs, ours);
    else if (ours && signs_armed(&w->signs))
        signs_arm(&w->signs, true); /* it is being written: wait for more */
}

static void on_sign(struct signs *signs, const struct inotify_event *e)
{
    struct watch *w = signs->owner;
    const struct watch_place *p = place_of(w, e->wd);
    if (e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
        forget_place(w, e);
    else if (p && p->mask == FILE_MASK)
        file_sign(w, p, e->mask);
    else
        folder_sign(w, p, e);
}

static void on_mount(void *owner)
{
    struct watch *w = owner;
    signs_arm(&w->signs, true);
}

static void look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct watch *w = timer->data;
    signs_arm(&w->signs, false);
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
    start_folder_follow(w->start);
    choose_places(w);
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
    choose_places(w);
    /* A file may have changed after it was read and before it was watched. */
    for (size_t i = 0; i < w->file_count; i++) {
        char digest[SITE_DIGEST_BYTES];
        watch_digest(w->files[i].path, digest);
        if (strcmp(digest, w->files[i].digest) != 0)
            signs_arm(&w->signs, false);
    }
}

int watch_init(struct watch *w, struct ev_loop *loop, const struct log *log,
               struct start_folder *start, void (*changed)(struct watch *w, uint64_t first_us))
{
    *w = (struct watch){.log = log, .start = start, .changed = changed};
    ev_timer_init(&w->look, look, look_seconds, look_seconds);
    w->look.data = w;
    int err = signs_init(&w->signs, loop, settle_seconds, on_sign, settled);
    w->signs.owner = w;
    if (!err)
        mounts_init(&w->mounts, loop, on_mount, w);
    return err;
}

void watch_deinit(struct watch *w)
{
    if (!w->signs.loop)
        return;
    ev_timer_stop(w->signs.loop, &w->look);
    mounts_deinit(&w->mounts);
    signs_deinit(&w->signs);
    forget_names(w);
    forget(&w->files, &w->file_count);
    forget(&w->before, &w->before_count);
    for (size_t i = 0; i < w->place_count; i++)
        free(w->places[i].path);
    free(w->places);
    *w = (struct watch){0};
}
