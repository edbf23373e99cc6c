#include "main/app.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/worker.h"
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

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_routes(const struct site *a, const struct site *b)
{
    if (a->route_count != b->route_count)
        return false;
    for (size_t i = 0; i < a->route_count; i++) {
        const struct site_route *x = &a->routes[i];
        const struct site_route *y = &b->routes[i];
        if (x->kind != y->kind || x->methods != y->methods || !same_text(x->pattern, y->pattern))
            return false;
    }
    return true;
}

static bool same_listeners(const struct site *a, const struct site *b)
{
    if (a->listener_count != b->listener_count)
        return false;
    for (size_t i = 0; i < a->listener_count; i++) {
        const struct site_listener *x = &a->listeners[i];
        const struct site_listener *y = &b->listeners[i];
        if (x->port != y->port || x->development != y->development ||
            x->certificate_count != y->certificate_count || !same_text(x->host, y->host))
            return false;
    }
    return true;
}

static int load_one(struct app *a, struct worker *w, const struct options *o,
                    char why[SERVER_WHY_BYTES])
{
    a->site = site_new();
    if (a->site == NULL) {
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(ERR_MEMORY));
        return ERR_MEMORY;
    }
    w->site = a->site;
    int err = script_new(&a->script, w, w->log, why);
    if (err)
        return err;
    w->dispatch = script_dispatch;
    w->pending = script_pending;
    w->script = a->script;
    const struct script_source source = {o->app, o->code, o->argument_count, o->arguments};
    return script_load(a->script, &source, a->site, why, SERVER_WHY_BYTES);
}

static int commit(struct site *site, char why[SERVER_WHY_BYTES])
{
    int err = site_commit(site);
    if (err)
        snprintf(why, SERVER_WHY_BYTES, "%s", site->error);
    return err;
}

int app_load(struct app *apps, struct server *s, const struct options *o, uint32_t connections,
             char why[SERVER_WHY_BYTES])
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        int err = load_one(&apps[i], &s->workers[i], o, why);
        if (err || server_exiting(s))
            return err;
        if (!same_routes(apps[0].site, apps[i].site) ||
            !same_listeners(apps[0].site, apps[i].site)) {
            snprintf(why, SERVER_WHY_BYTES,
                     "%s: its top level runs once in each of the %u workers and must declare the "
                     "same routes and listeners each time, but did not",
                     o->app, s->worker_count);
            return ERR_INVALID;
        }
        fit_connections(apps[i].site, connections, i == 0 ? &s->log : NULL);
        err = commit(apps[i].site, why);
        if (err)
            return err;
    }
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

void app_free(struct app *apps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (apps[i].site)
            site_free(apps[i].site);
        apps[i].site = NULL;
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

void app_print(const struct app *a, const struct options *o)
{
    const struct site *site = a->site;
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
