/* The app in every worker: loading it at the start, and again for a reload. */
#include "script/app.h"

#include <stdio.h>

#include "base/error.h"
#include "engine/ground/site_succession.h"
#include "engine/server/server_listen.h"
#include "engine/worker/worker.h"
#include "script/events.h"
#include "script/loading.h"
#include "script/script.h"
#include "script/state.h"

/* Lowers limits.connections to what the system has descriptors for. Says so if log is not NULL and
 * the app has asked for a number of its own. */
static void fit_connections(struct site *site, uint32_t possible, const struct log *log)
{
    uint32_t asked = site->limits.connections;
    if (asked <= possible)
        return;
    site->limits.connections = possible;
    if (log && asked != limits_default.connections)
        log_write(log, LOG_INFO,
                  "limits.connections is %u, not %u: more would need more file descriptors (raise "
                  "ulimit -n)",
                  possible, asked);
}

static int commit(struct site *site, char *why, size_t why_len)
{
    int err = site_commit(site);
    if (err)
        snprintf(why, why_len, "%s", site->error);
    return err;
}

/* ops->prepare */
static int prepare(struct worker *w, struct site *next, char *why, size_t why_len)
{
    const struct app *a = w->app;
    int err = script_prepare(a->script, a->source, next, why, why_len);
    if (err)
        return err;
    fit_connections(next, a->connections, w->index == 0 ? w->log : NULL);
    return commit(next, why, why_len);
}

/* ops->restore */
static int restore(struct worker *w, struct site *next, char *why, size_t why_len)
{
    const struct app *a = w->app;
    int err = script_restore(a->script, next, why, why_len);
    if (err)
        return err;
    fit_connections(next, a->connections, NULL);
    return commit(next, why, why_len);
}

static const struct script_ops ops = {
    .dispatch = script_dispatch,
    .prepare = prepare,
    .restore = restore,
    .commit = script_commit,
    .abandon = script_abandon,
    .tidy = script_tidy,
    .describe = script_describe,
    .pending = script_pending,
};

static int load_one(struct app *a, struct worker *w, char why[SERVER_WHY_BYTES])
{
    w->site = site_new();
    if (!w->site) {
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(ERR_MEMORY));
        return ERR_MEMORY;
    }
    int err = script_new(&a->script, w, w->log, why);
    if (err)
        return err;
    w->ops = &ops;
    w->script = a->script;
    w->app = a;
    return script_load(a->script, a->source, w->site, why, SERVER_WHY_BYTES);
}

int app_load(struct app *apps, struct server *s, const struct script_source *source,
             uint32_t connections, char why[SERVER_WHY_BYTES])
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        apps[i].source = source;
        apps[i].connections = connections;
        int err = load_one(&apps[i], &s->workers[i], why);
        if (err || server_exiting(s))
            return err;
        struct site *site = s->workers[i].site;
        if (!site_agrees(s->workers[0].site, site)) {
            site_disagreement(why, SERVER_WHY_BYTES, source->path, s->workers[0].site, site, i + 1);
            return ERR_INVALID;
        }
        fit_connections(site, connections, i == 0 ? &s->log : NULL);
        err = commit(site, why, SERVER_WHY_BYTES);
        if (err)
            return err;
        script_watch_site(apps[i].script);
    }
    server_set_limits(s, &s->workers[0].site->limits);
    return 0;
}

void app_unwatch(struct app *apps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        script_watch_end(apps[i].script);
}

void app_stop(struct app *apps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        script_free(apps[i].script);
        apps[i].script = NULL;
    }
}
