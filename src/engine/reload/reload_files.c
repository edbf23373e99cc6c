#include "engine/reload/reload_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

static void forget_names(struct reload *r)
{
    for (size_t i = 0; i < r->name_count; i++)
        free(r->names[i]);
    free(r->names);
    r->names = NULL;
    r->name_count = 0;
}

/* Without memory it is not read ahead. */
static void add_name(struct reload *r, const char *path)
{
    for (size_t i = 0; i < r->name_count; i++) {
        if (strcmp(r->names[i], path) == 0)
            return;
    }
    char **more = NULL;
    if (r->name_count < SOURCES_FILES_MAX)
        more = realloc(r->names, (r->name_count + 1) * sizeof(*more));
    if (!more)
        return;
    r->names = more;
    r->names[r->name_count] = strdup(path);
    r->name_count += r->names[r->name_count] != NULL;
}

/* Also what was looked for in vain: somebody may write it now. */
static void add_names(struct reload *r, const struct site *site)
{
    for (size_t i = 0; i < site->file_count; i++)
        add_name(r, site->files[i].path);
}

struct sources *reload_files_ahead(const struct reload *r, uint32_t number)
{
    struct sources *s = r->compile && r->name_count > 0 ? sources_new(number) : NULL;
    for (size_t i = 0; s && i < r->name_count; i++)
        sources_add(s, r->names[i]);
    return s;
}

/* ---- late files ------------------------------------------------------------------------------ */

void reload_late_file(struct reload *r, const char *path, const char *digest)
{
    pthread_mutex_lock(&r->round.lock);
    bool known = false;
    for (size_t i = 0; i < r->late_count && !known; i++)
        known = strcmp(r->late_files[i].path, path) == 0;
    struct site_file *more = NULL;
    if (!known)
        more = realloc(r->late_files, (r->late_count + 1) * sizeof(*more));
    if (more)
        r->late_files = more;
    char *copy = more ? strdup(path) : NULL;
    if (copy) {
        more[r->late_count] = (struct site_file){.path = copy};
        snprintf(more[r->late_count++].digest, SITE_DIGEST_BYTES, "%s", digest);
    }
    pthread_mutex_unlock(&r->round.lock);
    if (copy)
        ev_async_send(r->server->loop, &r->round.wake);
}

static void forget_late(struct reload *r)
{
    for (size_t i = 0; i < r->late_count; i++)
        free(r->late_files[i].path);
    free(r->late_files);
    r->late_files = NULL;
    r->late_count = 0;
}

void reload_files_late(struct reload *r)
{
    if (!r->watching)
        return;
    pthread_mutex_lock(&r->round.lock);
    for (size_t i = 0; i < r->late_count; i++)
        watch_add(&r->watch, r->late_files[i].path, r->late_files[i].digest);
    bool some = r->late_count > 0;
    forget_late(r);
    pthread_mutex_unlock(&r->round.lock);
    if (some)
        watch_end(&r->watch);
}

void reload_files_forget(struct reload *r)
{
    forget_late(r);
    forget_names(r);
}

/* A file that one of them alone has is no contradiction. */
static bool agrees(const struct site *a, const struct site *b)
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

bool reload_files_agree(const struct server *s)
{
    for (uint32_t i = 1; i < s->worker_count; i++) {
        if (!agrees(s->workers[0].site, s->workers[i].site))
            return false;
    }
    return true;
}

/* ---- watching -------------------------------------------------------------------------------- */

static void each_certificate(struct reload *r, const struct site *site,
                             void (*fn)(struct watch *w, const char *path))
{
    for (size_t i = 0; !r->fixed_listeners && i < site->listener_count; i++) {
        const struct site_listener *l = &site->listeners[i];
        for (size_t j = 0; j < l->certificate_count; j++) {
            fn(&r->watch, l->certificates[j].cert_path);
            if (l->certificates[j].key_path)
                fn(&r->watch, l->certificates[j].key_path);
        }
    }
}

static void add_files(struct watch *w, const struct site *site)
{
    for (size_t i = 0; i < site->file_count; i++)
        watch_add(w, site->files[i].path, site->files[i].digest);
}

void reload_files_serve(struct reload *r, const struct site *site)
{
    forget_names(r);
    add_names(r, site);
    if (!r->watching)
        return;
    watch_begin(&r->watch);
    add_files(&r->watch, site);
    each_certificate(r, site, watch_keep);
    watch_end(&r->watch);
}

void reload_files_refused(struct reload *r, const struct site *site)
{
    add_names(r, site);
    if (!r->watching)
        return;
    watch_begin(&r->watch);
    add_files(&r->watch, site);
    watch_keep_all(&r->watch);
    watch_end(&r->watch);
}

void reload_files_look(struct reload *r, const struct site *site)
{
    if (r->watching)
        each_certificate(r, site, watch_look);
}

void reload_files_taken_back(struct reload *r, const struct site *site)
{
    struct watch *w = &r->watch;
    add_names(r, site);
    if (!r->watching)
        return;
    watch_begin(w);
    watch_keep_all(w);
    for (size_t i = 0; i < site->file_count; i++)
        watch_keep(w, site->files[i].path);
    each_certificate(r, site, watch_keep);
    watch_end(w);
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
