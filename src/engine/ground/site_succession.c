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

static bool alike(const struct site_route *a, const struct site_route *b)
{
    return a->kind == b->kind && a->methods == b->methods && same_text(a->pattern, b->pattern);
}

static bool same_listener(const struct site_listener *a, const struct site_listener *b)
{
    return a->port == b->port && a->development == b->development &&
           a->certificate_count == b->certificate_count && same_text(a->host, b->host) &&
           memcmp(&a->proxies, &b->proxies, sizeof(a->proxies)) == 0;
}

/* The first route, or listener, that they do not share: the number of those that they do. */
static size_t shared_routes(const struct site *a, const struct site *b)
{
    size_t i = 0;
    while (i < a->route_count && i < b->route_count && alike(&a->routes[i], &b->routes[i]))
        i++;
    return i;
}

static size_t shared_listeners(const struct site *a, const struct site *b)
{
    size_t i = 0;
    while (i < a->listener_count && i < b->listener_count &&
           same_listener(&a->listeners[i], &b->listeners[i]))
        i++;
    return i;
}

static bool same_routes(const struct site *a, const struct site *b)
{
    return a->route_count == b->route_count && shared_routes(a, b) == a->route_count;
}

bool site_agrees(const struct site *a, const struct site *b)
{
    return same_routes(a, b) && a->listener_count == b->listener_count &&
           shared_listeners(a, b) == a->listener_count;
}

static const char *route_at(const struct site *s, size_t i)
{
    return i < s->route_count ? s->routes[i].pattern : "none";
}

static const char *listener_at(const struct site *s, size_t i)
{
    if (i >= s->listener_count)
        return "none";
    return s->listeners[i].where ? s->listeners[i].where : "one";
}

void site_disagreement(char *out, size_t size, const char *app, const struct site *first,
                       const struct site *other, unsigned worker)
{
    bool routes = !same_routes(first, other);
    size_t i = routes ? shared_routes(first, other) : shared_listeners(first, other);
    snprintf(out, size,
             "%s: its top level runs once in each worker and must declare the same routes and "
             "listeners each time, but %s number %zu is %s in worker 1 and %s in worker %u",
             app, routes ? "route" : "listener", i + 1,
             routes ? route_at(first, i) : listener_at(first, i),
             routes ? route_at(other, i) : listener_at(other, i), worker);
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
