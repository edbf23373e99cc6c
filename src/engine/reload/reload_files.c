/* The files that an app is made of. */
#include "engine/reload/reload_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

static void forget_names(struct reload_files *f)
{
    for (size_t i = 0; i < f->name_count; i++)
        free(f->names[i]);
    free(f->names);
    f->names = NULL;
    f->name_count = 0;
}

/* Without memory the file is not read ahead. */
static void add_name(struct reload_files *f, const char *path)
{
    for (size_t i = 0; i < f->name_count; i++) {
        if (strcmp(f->names[i], path) == 0)
            return;
    }
    char **more = NULL;
    if (f->name_count < SOURCES_FILES_MAX)
        more = realloc(f->names, (f->name_count + 1) * sizeof(*more));
    if (!more)
        return;
    f->names = more;
    f->names[f->name_count] = strdup(path);
    f->name_count += f->names[f->name_count] != NULL;
}

/* Also the names of files that were not there: somebody may write them now. */
static void add_names(struct reload_files *f, const struct site *site)
{
    for (size_t i = 0; i < site->file_count; i++)
        add_name(f, site->files[i].path);
}

/* ---- late files ------------------------------------------------------------------------------ */

/* Under the lock. */
static bool is_late(const struct reload_files *f, const char *path)
{
    for (size_t i = 0; i < f->locked.late_count; i++) {
        if (strcmp(f->locked.late[i].path, path) == 0)
            return true;
    }
    return false;
}

/* Under the lock. Without memory the file is left out: its change is not noticed. */
static bool add_late(struct reload_files *f, const char *path, const char *digest)
{
    struct site_file *more = realloc(f->locked.late, (f->locked.late_count + 1) * sizeof(*more));
    if (!more)
        return false;
    f->locked.late = more;
    struct site_file *file = &more[f->locked.late_count];
    *file = (struct site_file){.path = strdup(path)};
    if (!file->path)
        return false;
    snprintf(file->digest, sizeof(file->digest), "%s", digest);
    f->locked.late_count++;
    return true;
}

bool reload_files_add_late(struct reload_files *f, const char *path, const char *digest)
{
    pthread_mutex_lock(&f->lock);
    bool added = !is_late(f, path) && add_late(f, path, digest);
    pthread_mutex_unlock(&f->lock);
    return added;
}

static void forget_late(struct reload_files *f)
{
    for (size_t i = 0; i < f->locked.late_count; i++)
        free(f->locked.late[i].path);
    free(f->locked.late);
    f->locked.late = NULL;
    f->locked.late_count = 0;
}

void reload_files_take_late(struct reload_files *f)
{
    if (!f->watching)
        return;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->locked.late_count; i++)
        watch_add(&f->watch, f->locked.late[i].path, f->locked.late[i].digest);
    bool some = f->locked.late_count > 0;
    forget_late(f);
    pthread_mutex_unlock(&f->lock);
    if (some)
        watch_end(&f->watch);
}

/* ---- watching -------------------------------------------------------------------------------- */

static void each_certificate(struct watch *w, const struct site *site,
                             void (*fn)(struct watch *w, const char *path))
{
    for (size_t i = 0; i < site->listener_count; i++) {
        const struct site_listener *l = &site->listeners[i];
        for (size_t j = 0; j < l->certificate_count; j++) {
            fn(w, l->certificates[j].cert_path);
            if (l->certificates[j].key_path)
                fn(w, l->certificates[j].key_path);
        }
    }
}

static void add_files(struct watch *w, const struct site *site)
{
    for (size_t i = 0; i < site->file_count; i++)
        watch_add(w, site->files[i].path, site->files[i].digest);
}

void reload_files_serve(struct reload_files *f, const struct site *site, bool certificates)
{
    forget_names(f);
    add_names(f, site);
    if (!f->watching)
        return;
    watch_begin(&f->watch);
    add_files(&f->watch, site);
    if (certificates)
        each_certificate(&f->watch, site, watch_keep);
    watch_end(&f->watch);
}

void reload_files_refused(struct reload_files *f, const struct site *site)
{
    add_names(f, site);
    if (!f->watching)
        return;
    watch_begin(&f->watch);
    add_files(&f->watch, site);
    watch_keep_all(&f->watch);
    watch_end(&f->watch);
}

void reload_files_look(struct reload_files *f, const struct site *site)
{
    if (f->watching)
        each_certificate(&f->watch, site, watch_look);
}

void reload_files_taken_back(struct reload_files *f, const struct site *site, bool certificates)
{
    struct watch *w = &f->watch;
    add_names(f, site);
    if (!f->watching)
        return;
    watch_begin(w);
    watch_keep_all(w);
    for (size_t i = 0; i < site->file_count; i++)
        watch_keep(w, site->files[i].path);
    if (certificates)
        each_certificate(w, site, watch_keep);
    watch_end(w);
}

/* ---- reading them --------------------------------------------------------------------------- */

void reload_files_follow(struct reload_files *f)
{
    start_folder_follow(&f->start);
}

struct sources *reload_files_ahead(const struct reload_files *f, uint32_t number)
{
    struct sources *s = f->name_count > 0 ? sources_new(number) : NULL;
    for (size_t i = 0; s && i < f->name_count; i++)
        sources_add(s, f->names[i]);
    return s;
}

bool reload_files_agree(const struct site *a, const struct site *b)
{
    for (size_t i = 0; i < a->file_count; i++) {
        for (size_t j = 0; j < b->file_count; j++) {
            if (strcmp(a->files[i].path, b->files[j].path) == 0 &&
                strcmp(a->files[i].digest, b->files[j].digest) != 0)
                return false;
        }
    }
    return true;
}

bool reload_files_busy(struct reload_files *f)
{
    return watch_busy(&f->watch);
}

bool reload_files_outdated(const struct site *site)
{
    char now[SITE_DIGEST_BYTES];
    for (size_t i = 0; site && i < site->file_count; i++) {
        watch_digest(site->files[i].path, now);
        if (strcmp(now, site->files[i].digest) != 0)
            return true;
    }
    return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

void reload_files_init(struct reload_files *f)
{
    *f = (struct reload_files){0};
    start_folder_init(&f->start);
    pthread_mutex_init(&f->lock, NULL);
}

int reload_files_watch(struct reload_files *f, struct ev_loop *loop, const struct log *log,
                       void (*changed)(struct watch *w, uint64_t first_us), void *owner)
{
    int err = watch_init(&f->watch, loop, log, &f->start, changed);
    f->watch.owner = owner;
    f->watching = !err;
    return err;
}

void reload_files_deinit(struct reload_files *f)
{
    watch_deinit(&f->watch);
    forget_late(f);
    forget_names(f);
    pthread_mutex_destroy(&f->lock);
}
