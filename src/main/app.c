#include "main/app.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/server/server_listen.h"
#include "engine/worker/worker.h"
#include "script/state.h"

/* What the system cannot give is not promised. */
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

/* ---- loading ----------------------------------------------------------------------------------- */

static int commit(struct site *site, char *why, size_t why_len)
{
    int err = site_commit(site);
    if (err)
        snprintf(why, why_len, "%s", site->error);
    return err;
}

static struct script_source source_of(const struct options *o)
{
    return (struct script_source){o->app, o->code, o->argument_count, o->arguments};
}

/* ops->prepare */
static int prepare(struct worker *w, struct site *next, char *why, size_t why_len)
{
    const struct app *a = w->app;
    const struct options *o = a->options;
    const struct script_source source = source_of(o);
    int err =
        script_prepare(a->script, &source, next, w->site->limits.reload_seconds, why, why_len);
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

static int load_one(struct app *a, struct worker *w, const struct options *o,
                    char why[SERVER_WHY_BYTES])
{
    w->site = site_new();
    if (w->site == NULL) {
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(ERR_MEMORY));
        return ERR_MEMORY;
    }
    int err = script_new(&a->script, w, w->log, why);
    if (err)
        return err;
    w->ops = &ops;
    w->script = a->script;
    w->app = a;
    const struct script_source source = source_of(o);
    return script_load(a->script, &source, w->site, why, SERVER_WHY_BYTES);
}

int app_load(struct app *apps, struct server *s, const struct options *o, uint32_t connections,
             char why[SERVER_WHY_BYTES])
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct site *site;
        apps[i].options = o;
        apps[i].connections = connections;
        int err = load_one(&apps[i], &s->workers[i], o, why);
        if (err || server_exiting(s))
            return err;
        site = s->workers[i].site;
        if (!site_agrees(s->workers[0].site, site)) {
            snprintf(why, SERVER_WHY_BYTES, SITE_DISAGREE, o->app, s->worker_count);
            return ERR_INVALID;
        }
        fit_connections(site, connections, i == 0 ? &s->log : NULL);
        err = commit(site, why, SERVER_WHY_BYTES);
        if (err)
            return err;
    }
    admission_set_limits(&s->admission, &s->workers[0].site->limits);
    return 0;
}

void app_stop(struct app *apps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (apps[i].script)
            script_free(apps[i].script);
        apps[i].script = NULL;
    }
}

/* ---- printing ---------------------------------------------------------------------------------- */

static const char *const method_names[] = {"GET",    "HEAD",    "POST", "PUT",
                                           "DELETE", "OPTIONS", "PATCH"};

_Static_assert(HTTP_ANY == (1 << sizeof(method_names) / sizeof(method_names[0])) - 1,
               "every method has a name, in the order of its bit");

/* "GET,POST" */
static void print_methods(uint32_t methods)
{
    const char *comma = "";
    for (unsigned i = 0; HTTP_ANY >> i; i++) {
        if (methods >> i & 1) {
            printf("%s%s", comma, method_names[i]);
            comma = ",";
        }
    }
}

static void print_route(const struct site_route *r)
{
    printf("  ");
    if (r->kind == SITE_WEBSOCKET)
        printf("websocket");
    else if (r->kind == SITE_STATIC)
        printf("static");
    else if (r->methods == HTTP_ANY)
        printf("any");
    else
        print_methods(r->methods);
    printf(" %s\n", r->pattern);
}

void app_print(const struct site *site, const struct options *o)
{
    const struct site_listener *listeners = o->listener_count ? o->listeners : site->listeners;
    size_t n = o->listener_count ? o->listener_count : site->listener_count;
    printf("routes:\n");
    for (size_t i = 0; i < site->route_count; i++)
        print_route(&site->routes[i]);
    if (site->route_count == 0)
        printf("  none\n");
    printf("listeners:\n");
    for (size_t i = 0; i < n; i++) {
        char address[SERVER_ADDRESS_BYTES];
        server_address(&listeners[i], listeners[i].port, address);
        printf("  %s\n", address);
    }
    if (n == 0)
        printf("  none: call mw.listen{port=8080}, or give --listen localhost:8080\n");
}
