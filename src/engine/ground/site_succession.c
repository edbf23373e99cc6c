/* Two sites of one app: made by two workers, or one after the other. */
#include "engine/ground/site_succession.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- do two workers agree? ---- */

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
            x->certificate_count != y->certificate_count || !same_text(x->host, y->host) ||
            memcmp(&x->proxies, &y->proxies, sizeof(x->proxies)) != 0)
            return false;
    }
    return true;
}

bool site_agrees(const struct site *a, const struct site *b)
{
    return same_routes(a, b) && same_listeners(a, b);
}

void site_disagreement(char *out, size_t size, const char *app, unsigned workers)
{
    snprintf(out, size,
             "%s: its top level runs once in each of the %u workers and must declare the same "
             "routes and listeners each time, but did not",
             app, workers);
}

/* ---- one site after another ---- */

static bool is_same(const struct site_route *a, const struct site_route *b)
{
    return a->kind == b->kind &&
           router_same_pattern(a->pattern, strlen(a->pattern), b->pattern, strlen(b->pattern)) &&
           (a->kind != SITE_HTTP || a->methods == b->methods);
}

/* There is at most one. The index that it had before is tried first: most edits leave routes in
 * place. */
static uint32_t same_route(const struct site *s, const struct site_route *r, size_t was)
{
    if (was < s->declared_count && is_same(&s->routes[was], r))
        return (uint32_t)was;
    for (size_t i = 0; i < s->declared_count; i++) {
        if (is_same(&s->routes[i], r))
            return (uint32_t)i;
    }
    return SITE_NOWHERE;
}

int site_succeed(struct site *s, const struct site *before)
{
    size_t n = before->route_count + 1; /* not 0, for calloc */
    free(s->successors);
    free(s->retirees);
    s->successors = calloc(n, sizeof(*s->successors));
    s->retirees = calloc(n, sizeof(*s->retirees));
    void *routes = realloc(s->routes, (s->route_count + n) * sizeof(*s->routes));
    if (routes)
        s->routes = routes;
    if (!s->successors || !s->retirees || !routes)
        return ERR_MEMORY;
    for (size_t i = 0; i < before->route_count; i++) {
        s->successors[i] = same_route(s, &before->routes[i], i);
        s->retirees[i] = SITE_NOWHERE;
    }
    return 0;
}

uint32_t site_successor(const struct site *s, uint32_t route)
{
    return s->successors[route];
}

uint32_t site_retire(struct site *s, struct site *before, uint32_t route)
{
    if (s->retirees[route] != SITE_NOWHERE)
        return s->retirees[route];
    struct site_route *from = &before->routes[route];
    struct site_route *to = &s->routes[s->route_count]; /* site_succeed made room */
    *to = *from;
    to->was = route;
    from->pattern = from->folder_path = NULL;
    from->protocols = from->origins = from->types = NULL;
    from->folder = -1;
    s->retirees[route] = (uint32_t)s->route_count;
    return (uint32_t)s->route_count++;
}

uint32_t site_living(const struct site *s, uint32_t route)
{
    return route < s->declared_count ? route : same_route(s, &s->routes[route], s->declared_count);
}
