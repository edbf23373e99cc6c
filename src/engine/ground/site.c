/* The life of a site, its listeners and files, and its commit. */
#include "engine/ground/site.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

/* ---- for the other files of a site ---- */

int site_fail(struct site *s, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->error, sizeof(s->error), format, args);
    va_end(args);
    return err;
}

int site_no_memory(struct site *s)
{
    return site_fail(s, ERR_MEMORY, "out of memory");
}

void *site_grow(struct site *s, void *array, size_t count, size_t size)
{
    void *more = realloc(array, (count + 1) * size);
    if (more)
        memset((char *)more + count * size, 0, size);
    else
        site_no_memory(s);
    return more;
}

struct site_route *site_websocket_route(struct site *s, int route, const char *what)
{
    if (route < 0 || (size_t)route >= s->route_count) {
        site_fail(s, ERR_INVALID, "%s: there is no route %d", what, route);
        return NULL;
    }
    struct site_route *r = &s->routes[route];
    if (r->kind == SITE_WEBSOCKET)
        return r;
    site_fail(s, ERR_INVALID, "%s: route \"%s\" is not a WebSocket route", what, r->pattern);
    return NULL;
}

/* ---- life ---- */

struct site *site_new(void)
{
    struct site *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->limits = limits_default;
    s->generation = 1;
    s->router = router_new();
    if (!s->router) {
        free(s);
        return NULL;
    }
    return s;
}

static void list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void site_route_deinit(struct site_route *r)
{
    free(r->pattern);
    free(r->folder_path);
    list_free(r->protocols);
    list_free(r->origins);
    list_free(r->types);
    if (r->folder >= 0)
        close(r->folder);
}

static void listener_deinit(struct site_listener *l)
{
    for (size_t i = 0; i < l->certificate_count; i++) {
        free(l->certificates[i].cert_path);
        free(l->certificates[i].key_path);
    }
    free(l->certificates);
    free(l->host);
    free(l->where);
}

void site_free(struct site *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->route_count; i++)
        site_route_deinit(&s->routes[i]);
    for (size_t i = 0; i < s->listener_count; i++)
        listener_deinit(&s->listeners[i]);
    for (size_t i = 0; i < s->file_count; i++)
        free(s->files[i].path);
    list_free(s->hosts);
    free(s->files);
    free(s->privates);
    free(s->routes);
    free(s->listeners);
    free(s->successors);
    free(s->retirees);
    router_free(s->router);
    free(s);
}

/* ---- listeners ---- */

static int check_host(struct site *s, const char *host)
{
    static const char unix_prefix[] = "unix:";
    const size_t n = sizeof(unix_prefix) - 1;
    if (!host)
        return 0;
    if (!*host)
        return site_fail(s, ERR_INVALID,
                         "listen: the host is empty; write \"*\" for every address");
    if (strncmp(host, unix_prefix, n) != 0)
        return 0;
    size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (host[n] == '\0' || strlen(host + n) > most)
        return site_fail(s, ERR_INVALID, "listen \"%.128s\": a socket's path has 1 to %zu bytes",
                         host, most);
    return 0;
}

int site_add_listener(struct site *s, const char *host, int port)
{
    if (port < 0 || port > 65535)
        return site_fail(s, ERR_INVALID, "listen: port %d is not from 0 to 65535", port);
    int err = check_host(s, host);
    if (err)
        return err;
    struct site_listener *listeners =
        site_grow(s, s->listeners, s->listener_count, sizeof(*listeners));
    if (!listeners)
        return ERR_MEMORY;
    s->listeners = listeners;
    struct site_listener *l = &s->listeners[s->listener_count];
    l->port = port;
    size_t len = host ? strlen(host) : 0;
    bool brackets = len > 2 && host[0] == '[' && host[len - 1] == ']'; /* as in a URL */
    l->host = host ? strndup(host + brackets, len - 2 * brackets) : NULL;
    if (host && !l->host)
        return site_no_memory(s);
    return (int)s->listener_count++;
}

int site_listener_where(struct site *s, int listener, const char *where)
{
    if (listener < 0 || (size_t)listener >= s->listener_count)
        return site_fail(s, ERR_INVALID, "listen: there is no listener %d", listener);
    char *copy = strdup(where);
    if (!copy)
        return site_no_memory(s);
    free(s->listeners[listener].where);
    s->listeners[listener].where = copy;
    return 0;
}

int site_add_certificate(struct site *s, int listener, const char *cert_path, const char *key_path)
{
    if (listener < 0 || (size_t)listener >= s->listener_count)
        return site_fail(s, ERR_INVALID, "certificate: there is no listener %d", listener);
    if (!cert_path || !*cert_path)
        return site_fail(s, ERR_INVALID,
                         "listen: tls needs the path of a certificate: cert = \"…\"");
    struct site_listener *l = &s->listeners[listener];
    struct site_certificate *certificates =
        site_grow(s, l->certificates, l->certificate_count, sizeof(*certificates));
    if (!certificates)
        return ERR_MEMORY;
    l->certificates = certificates;
    struct site_certificate *c = &l->certificates[l->certificate_count];
    c->cert_path = strdup(cert_path);
    c->key_path = key_path ? strdup(key_path) : NULL;
    if (!c->cert_path || (key_path && !c->key_path)) {
        free(c->cert_path);
        free(c->key_path);
        return site_no_memory(s);
    }
    l->certificate_count++;
    return 0;
}

int site_add_proxy(struct site *s, int listener, const char *range)
{
    if (listener < 0 || (size_t)listener >= s->listener_count)
        return site_fail(s, ERR_INVALID, "proxy: there is no listener %d", listener);
    int err = address_ranges_add(&s->listeners[listener].proxies, range);
    if (err == ERR_LIMIT)
        return site_fail(s, err, "listen: proxy has at most %d addresses", ADDRESS_RANGES_MAX);
    if (err)
        return site_fail(
            s, err,
            "listen: proxy: \"%.64s\" is not an address: write \"10.0.0.5\", a range with "
            "zeros behind its prefix, as in \"10.0.0.0/8\" or \"fd00::/8\", or \"unix:\"",
            range);
    return 0;
}

/* ---- files ---- */

bool site_has_static(const struct site *s)
{
    for (size_t i = 0; i < s->route_count; i++) {
        if (s->routes[i].kind == SITE_STATIC)
            return true;
    }
    return false;
}

int site_add_file(struct site *s, const char *path, const char *digest)
{
    for (size_t i = 0; i < s->file_count; i++) {
        if (strcmp(s->files[i].path, path) == 0)
            return 0;
    }
    struct site_file *files = site_grow(s, s->files, s->file_count, sizeof(*files));
    if (!files)
        return ERR_MEMORY;
    s->files = files;
    struct site_file *f = &s->files[s->file_count];
    f->path = strdup(path);
    if (!f->path)
        return site_no_memory(s);
    snprintf(f->digest, sizeof(f->digest), "%s", digest);
    s->file_count++;
    return 0;
}

/* ---- commit ---- */

static void inherit_limits(struct site *s, struct site_route *r)
{
    for (unsigned i = 0; limits_at(i); i++) {
        if (!(r->limits_set & UINT64_C(1) << i))
            limits_put(&r->limits, i, limits_get(&s->limits, i));
    }
}

/* Routes the prefix itself, without a slash behind it, so that it can be redirected. This is done
 * at the commit, so that a route which the app declares at the same path wins, whatever their
 * order. */
static int add_bare_prefix(struct site *s, size_t route)
{
    const struct site_route *r = &s->routes[route];
    const char *why;
    if (strcmp(r->pattern, "/") == 0) /* its pattern for the rest matches this too */
        return 0;
    int err =
        router_add(s->router, r->pattern, strlen(r->pattern), r->methods, (uint32_t)route, &why);
    return err == ERR_MEMORY ? site_no_memory(s) : 0;
}

int site_commit(struct site *s)
{
    for (size_t i = 0; i < s->route_count; i++) {
        struct site_route *r = &s->routes[i];
        inherit_limits(s, r);
        r->handshake = (struct handshake_rules){
            .protocols = (const char *const *)r->protocols,
            .origins = (const char *const *)r->origins,
            .deflate = r->deflate,
        };
        if (r->kind == SITE_STATIC) {
            int err = add_bare_prefix(s, i);
            if (err)
                return err;
        }
    }
    s->declared_count = s->route_count;
    return 0;
}
