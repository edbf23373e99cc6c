#include "engine/reload/reload_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reload_late_file(struct reload *r, const char *path, const char *digest)
{
    pthread_mutex_lock(&r->lock);
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
    pthread_mutex_unlock(&r->lock);
    if (copy)
        ev_async_send(r->server->loop, &r->wake);
}

void reload_files_forget(struct reload *r)
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
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->late_count; i++)
        watch_add(&r->watch, r->late_files[i].path, r->late_files[i].digest);
    bool some = r->late_count > 0;
    reload_files_forget(r);
    pthread_mutex_unlock(&r->lock);
    if (some)
        watch_end(&r->watch);
}

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
    if (!r->watching)
        return;
    watch_begin(&r->watch);
    add_files(&r->watch, site);
    each_certificate(r, site, watch_keep);
    watch_end(&r->watch);
}

void reload_files_refused(struct reload *r, const struct site *site)
{
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
