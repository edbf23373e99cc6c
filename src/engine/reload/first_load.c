/* The wait after a first load that failed. */
#include "engine/reload/first_load.h"

#include <stdatomic.h>

#include "engine/reload/watch.h"
#include "engine/worker/worker.h"

struct first_load {
    struct watch watch;
    struct start_folder start;
    bool changed;
};

static void changed(struct watch *w, uint64_t first_us)
{
    (void)first_us;
    struct first_load *f = w->owner;
    f->changed = true;
    ev_break(w->signs.loop, EVBREAK_ALL);
}

/* Those of the listeners may be what does not fit. */
static void add_certificates(struct watch *w, const struct site *site)
{
    for (size_t i = 0; i < site->listener_count; i++) {
        const struct site_listener *l = &site->listeners[i];
        for (size_t j = 0; j < l->certificate_count; j++) {
            watch_keep(w, l->certificates[j].cert_path);
            if (l->certificates[j].key_path)
                watch_keep(w, l->certificates[j].key_path);
        }
    }
}

/* With the digests of what was read: a save since then counts. */
static void add_files(struct watch *w, const struct server *s, const char *app)
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct site *site = s->workers[i].site;
        for (size_t j = 0; site && j < site->file_count; j++)
            watch_add(w, site->files[j].path, site->files[j].digest);
        if (site)
            add_certificates(w, site);
    }
    watch_keep(w, app); /* unless it was read */
}

bool first_load_wait(struct server *s, const char *app)
{
    struct first_load f = {0};
    start_folder_init(&f.start);
    if (watch_init(&f.watch, s->loop, &s->log, &f.start, changed)) {
        log_write(&s->log, LOG_WARN,
                  "files are not watched: the system gives no inotify (sysctl "
                  "fs.inotify.max_user_instances)");
        return false;
    }
    f.watch.owner = &f;
    watch_begin(&f.watch);
    add_files(&f.watch, s, app);
    watch_end(&f.watch);
    log_write(&s->log, LOG_INFO,
              "%s does not load yet: it is loaded again with its next save "
              "(Ctrl-C ends it)",
              app);
    while (!f.changed && !atomic_load(&s->draining))
        ev_run(s->loop, EVRUN_ONCE);
    watch_deinit(&f.watch);
    return f.changed;
}
