#include "engine/ground/site.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/suggest.h"
#include "engine/reload/probation.h"
#include "protocol/http_syntax.h"
#include "protocol/url.h"

enum {
    YEAR_SECONDS = 31536000 /* the longest duration: ticks must not overflow */
};

/* ---- texts ---- */

static int fail(struct site *s, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct site *s, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->error, sizeof(s->error), format, args);
    va_end(args);
    return error;
}

static int no_memory(struct site *s)
{
    return fail(s, ERR_MEMORY, "out of memory");
}

/* name_of gives the i-th name, NULL past the last. */
static int fail_unknown(struct site *s, const char *what, const char *name,
                        const char *(*name_of)(unsigned i))
{
    char known[sizeof(s->error)] = "";
    const char *nearest = NULL;
    unsigned least = SUGGEST_FAR;
    size_t used = 0;
    for (unsigned i = 0; name_of(i); i++) {
        unsigned edits = suggest_edits(name, strlen(name), name_of(i));
        if (strlen(name) > 2 && strncmp(name, name_of(i), strlen(name)) == 0)
            edits = 1; /* only its unit is missing */
        if (edits < least) {
            least = edits;
            nearest = name_of(i);
        }
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                     name_of(i));
    }
    if (nearest)
        return fail(s, ERR_INVALID, "%s \"%.64s\" is unknown; did you mean \"%s\"?", what, name,
                    nearest);
    return fail(s, ERR_INVALID, "%s \"%.64s\" is unknown; known are: %.400s", what, name, known);
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

static void route_deinit(struct site_route *r)
{
    free(r->pattern);
    free(r->folder_path);
    list_free(r->protocols);
    list_free(r->origins);
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
}

void site_free(struct site *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->route_count; i++)
        route_deinit(&s->routes[i]);
    for (size_t i = 0; i < s->listener_count; i++)
        listener_deinit(&s->listeners[i]);
    for (size_t i = 0; i < s->file_count; i++)
        free(s->files[i].path);
    free(s->files);
    free(s->routes);
    free(s->listeners);
    free(s->successors);
    free(s->retirees);
    router_free(s->router);
    free(s);
}

/* ---- routes ---- */

/* Room for one more element. 0 or ERR_MEMORY. */
static int grow(struct site *s, void **array, size_t count, size_t size)
{
    void *more = realloc(*array, (count + 1) * size);
    if (!more)
        return no_memory(s);
    *array = more;
    memset((char *)more + count * size, 0, size);
    return 0;
}

static struct site_route *new_route(struct site *s, const char *pattern, size_t len)
{
    void *routes = s->routes;
    if (grow(s, &routes, s->route_count, sizeof(*s->routes)) < 0)
        return NULL;
    s->routes = routes;
    struct site_route *r = &s->routes[s->route_count];
    r->pattern = strndup(pattern, len);
    if (!r->pattern) {
        no_memory(s);
        return NULL;
    }
    r->folder = -1;
    r->deflate = deflate_options_default;
    r->deflate.enabled = false;
    return r;
}

static int route_pattern(struct site *s, const char *pattern, size_t len, uint32_t methods)
{
    const char *why = "";
    int status = router_add(s->router, pattern, len, methods, (uint32_t)s->route_count, &why);
    if (status == ERR_MEMORY)
        return no_memory(s);
    if (status < 0)
        return fail(s, status, "route \"%.*s\": %s", (int)len, pattern, why);
    return 0;
}

int site_add_route(struct site *s, const char *pattern, size_t len, uint32_t methods)
{
    bool http = methods & HTTP_ANY;
    bool websocket = methods & HTTP_WEBSOCKET;
    if (http == websocket || (methods & ~(uint32_t)(HTTP_ANY | HTTP_WEBSOCKET)))
        return fail(s, ERR_INVALID,
                    "route \"%.*s\": it needs HTTP methods or WebSocket, one of both", (int)len,
                    pattern);
    if (memchr(pattern, '\0', len))
        return fail(s, ERR_INVALID, "route \"%s\": a pattern holds no NUL", pattern);
    struct site_route *r = new_route(s, pattern, len);
    if (!r)
        return ERR_MEMORY;
    int status = route_pattern(s, pattern, len, methods);
    if (status < 0) {
        route_deinit(r);
        return status;
    }
    r->kind = websocket ? SITE_WEBSOCKET : SITE_HTTP;
    r->methods = methods;
    return (int)s->route_count++;
}

static int open_folder(struct site *s, const char *folder, size_t len)
{
    if (len == 0)
        return fail(s, ERR_INVALID, "static folder: its name is empty");
    char *path = memchr(folder, '\0', len) ? NULL : strndup(folder, len);
    if (!path)
        return fail(s, ERR_INVALID, "static folder \"%.*s\": a path holds no NUL", (int)len,
                    folder);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    free(path);
    if (fd >= 0)
        return fd;
    const char *why = error == ENOENT    ? "no such directory"
                      : error == ENOTDIR ? "it is not a directory"
                                         : strerror(error);
    return fail(s, ERR_NOT_FOUND, "static folder \"%.*s\": %s", (int)len, folder, why);
}

int site_add_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                    size_t folder_len)
{
    static const char rest[] = "/*rest";
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/')
        prefix_len--;
    if (prefix_len > 0 && (memchr(prefix, ':', prefix_len) || memchr(prefix, '*', prefix_len) ||
                           memchr(prefix, '\0', prefix_len)))
        return fail(s, ERR_INVALID, "static prefix \"%.*s\": a prefix holds no parameters",
                    (int)prefix_len, prefix);
    int fd = open_folder(s, folder, folder_len);
    if (fd < 0)
        return fd;
    struct site_route *r = prefix_len > 0 ? new_route(s, prefix, prefix_len) : new_route(s, "/", 1);
    if (!r) {
        close(fd);
        return ERR_MEMORY;
    }
    r->kind = SITE_STATIC;
    r->methods = HTTP_GET | HTTP_HEAD;
    r->folder = fd;
    r->folder_path = strndup(folder, folder_len);
    char *pattern = malloc(prefix_len + sizeof(rest));
    int status = pattern && r->folder_path ? 0 : no_memory(s);
    if (status == 0) {
        memcpy(pattern, prefix, prefix_len);
        memcpy(pattern + prefix_len, rest, sizeof(rest));
        status = route_pattern(s, pattern, prefix_len + sizeof(rest) - 1, r->methods);
    }
    free(pattern);
    if (status < 0) {
        route_deinit(r);
        return status;
    }
    return (int)s->route_count++;
}

static struct site_route *websocket_route(struct site *s, int route, const char *what)
{
    if (route < 0 || (size_t)route >= s->route_count) {
        fail(s, ERR_INVALID, "%s: there is no route %d", what, route);
        return NULL;
    }
    struct site_route *r = &s->routes[route];
    if (r->kind == SITE_WEBSOCKET)
        return r;
    fail(s, ERR_INVALID, "%s: route \"%s\" is not a WebSocket route", what, r->pattern);
    return NULL;
}

/* Appends to a NULL-terminated list. */
static int list_add(struct site *s, char ***list, const char *text, size_t len)
{
    size_t count = 0;
    while (*list && (*list)[count])
        count++;
    char *copy = strndup(text, len);
    char **more = copy ? realloc(*list, (count + 2) * sizeof(*more)) : NULL;
    if (!more) {
        free(copy);
        return no_memory(s);
    }
    more[count] = copy;
    more[count + 1] = NULL;
    *list = more;
    return 0;
}

int site_add_protocol(struct site *s, int route, const char *name, size_t len)
{
    struct site_route *r = websocket_route(s, route, "protocols");
    if (!r)
        return ERR_INVALID;
    if (!http_is_token(name, len))
        return fail(s, ERR_INVALID,
                    "protocol \"%.*s\" of \"%s\": a name is letters, digits and !#$%%&'*+-.^_`|~",
                    (int)len, name, r->pattern);
    for (size_t i = 0; r->protocols && r->protocols[i]; i++) {
        if (strlen(r->protocols[i]) == len && memcmp(r->protocols[i], name, len) == 0)
            return fail(s, ERR_INVALID, "protocol \"%.*s\" of \"%s\" is named twice", (int)len,
                        name, r->pattern);
    }
    return list_add(s, &r->protocols, name, len);
}

/* scheme "://" host [":" port], as a browser sends it (RFC 6454 §6.2). */
static bool origin_valid(const char *origin, size_t len)
{
    if ((len == 1 && *origin == '*') || (len == 4 && memcmp(origin, "null", 4) == 0))
        return true;
    const char *colon = memmem(origin, len, "://", 3);
    if (!colon || colon == origin)
        return false;
    for (const char *p = origin; p < colon; p++) {
        bool letter = (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';
        bool other = (*p >= '0' && *p <= '9') || *p == '+' || *p == '-' || *p == '.';
        if (!letter && (p == origin || !other))
            return false;
    }
    struct url_authority authority;
    return url_authority(&authority, colon + 3, len - (size_t)(colon + 3 - origin)) == 0;
}

int site_add_origin(struct site *s, int route, const char *origin, size_t len)
{
    struct site_route *r = websocket_route(s, route, "origins");
    if (!r)
        return ERR_INVALID;
    if (!origin_valid(origin, len))
        return fail(s, ERR_INVALID,
                    "origin \"%.*s\" of \"%s\": write \"https://example.com\" (no path), or \"*\" "
                    "for any",
                    (int)len, origin, r->pattern);
    return list_add(s, &r->origins, origin, len);
}

/* ---- limits ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* They are needed before a route is known, or belong to no connection. */
static bool app_only(const char *name)
{
    static const char *const names[] = {
        "target_bytes",       "head_bytes",        "header_count",       "handshake_seconds",
        "keep_alive_seconds", "drain_seconds",     "connections",        "connections_per_address",
        "reload_seconds",     "probation_seconds", "probation_failures", "watched_folders"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Nothing would work without them. */
static bool may_be_zero(const char *name)
{
    static const char *const names[] = {"target_bytes",  "head_bytes",        "header_count",
                                        "message_bytes", "queued_bytes",      "waiting_messages",
                                        "connections",   "probation_failures"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            return false;
    }
    return true;
}

static double most_of(const char *name)
{
    if (strcmp(name, "header_count") == 0)
        return HTTP_FIELDS_MAX;
    if (strcmp(name, "probation_seconds") == 0)
        return PROBATION_SECONDS_MAX;
    return ends_with(name, "_seconds") ? YEAR_SECONDS : UINT32_MAX;
}

/* A whole number from least to most. */
static int check_number(struct site *s, const char *what, const char *name, double value,
                        double least, double most)
{
    if (!(value >= least && value <= most) || floor(value) != value)
        return fail(s, ERR_INVALID,
                    "%s \"%s\" is %.14g; it must be a whole number from %.0f to %.0f", what, name,
                    value, least, most);
    return 0;
}

static unsigned limit_index(const char *name)
{
    unsigned i = 0;
    while (strcmp(limits_name(i), name) != 0)
        i++;
    return i;
}

int site_set_limit(struct site *s, int route, const char *name, double value)
{
    uint32_t *app = limits_field(&s->limits, name);
    if (!app)
        return fail_unknown(s, "limit", name, limits_name);
    if (route >= 0 && (size_t)route >= s->route_count)
        return fail(s, ERR_INVALID, "limit \"%s\": there is no route %d", name, route);
    if (route >= 0 && app_only(name))
        return fail(s, ERR_INVALID,
                    "limit \"%s\" is one of the whole app, not of the route \"%s\": set it with "
                    "mw.limits",
                    name, s->routes[route].pattern);
    int status = check_number(s, "limit", name, value, may_be_zero(name) ? 0 : 1, most_of(name));
    if (status < 0)
        return status;
    if (route < 0) {
        *app = (uint32_t)value;
        return 0;
    }
    struct site_route *r = &s->routes[route];
    *limits_field(&r->limits, name) = (uint32_t)value;
    r->limits_set |= 1u << limit_index(name);
    return 0;
}

/* ---- compression ---- */

static const struct {
    const char *name;
    size_t offset;
    uint8_t size; /* of the field: 1 or 4 bytes */
    uint8_t least;
    uint32_t most;
} deflate_fields[] = {
    {"enabled", offsetof(struct deflate_options, enabled), 1, 0, 1},
    {"server_no_context_takeover", offsetof(struct deflate_options, server_no_context_takeover), 1,
     0, 1},
    {"client_no_context_takeover", offsetof(struct deflate_options, client_no_context_takeover), 1,
     0, 1},
    {"server_max_window_bits", offsetof(struct deflate_options, server_max_window_bits), 1, 9, 15},
    {"client_max_window_bits", offsetof(struct deflate_options, client_max_window_bits), 1, 9, 15},
    {"level", offsetof(struct deflate_options, level), 1, 1, 9},
    {"memory_level", offsetof(struct deflate_options, memory_level), 1, 1, 9},
    {"min_bytes", offsetof(struct deflate_options, min_bytes), 4, 0, UINT32_MAX},
    {"memory_bytes", offsetof(struct deflate_options, memory_bytes), 4, 0, UINT32_MAX},
};

enum { DEFLATE_FIELDS = sizeof(deflate_fields) / sizeof(deflate_fields[0]) };

static const char *deflate_name(unsigned i)
{
    return i < DEFLATE_FIELDS ? deflate_fields[i].name : NULL;
}

int site_set_compress(struct site *s, int route, const char *name, double value)
{
    struct site_route *r = websocket_route(s, route, "compress");
    if (!r)
        return ERR_INVALID;
    unsigned i = 0;
    while (i < DEFLATE_FIELDS && strcmp(deflate_fields[i].name, name) != 0)
        i++;
    if (i == DEFLATE_FIELDS)
        return fail_unknown(s, "compress option", name, deflate_name);
    int status = check_number(s, "compress option", name, value, deflate_fields[i].least,
                              deflate_fields[i].most);
    if (status < 0)
        return status;
    r->deflate.enabled = true; /* who gives options wants it; "enabled" itself may say no */
    uint8_t *field = (uint8_t *)&r->deflate + deflate_fields[i].offset;
    if (deflate_fields[i].size == 1)
        *field = (uint8_t)value;
    else
        memcpy(field, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    return 0;
}

/* ---- listeners ---- */

static int check_host(struct site *s, const char *host)
{
    static const char unix_prefix[] = "unix:";
    const size_t n = sizeof(unix_prefix) - 1;
    if (!host)
        return 0;
    if (!*host)
        return fail(s, ERR_INVALID, "listen: the host is empty; write \"*\" for every address");
    if (strncmp(host, unix_prefix, n) != 0)
        return 0;
    size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (host[n] == '\0' || strlen(host + n) > most)
        return fail(s, ERR_INVALID, "listen \"%.128s\": a socket's path has 1 to %zu bytes", host,
                    most);
    return 0;
}

int site_add_listener(struct site *s, const char *host, int port)
{
    if (port < 0 || port > 65535)
        return fail(s, ERR_INVALID, "listen: port %d is not from 0 to 65535", port);
    int status = check_host(s, host);
    if (status < 0)
        return status;
    void *listeners = s->listeners;
    if (grow(s, &listeners, s->listener_count, sizeof(*s->listeners)) < 0)
        return ERR_MEMORY;
    s->listeners = listeners;
    struct site_listener *l = &s->listeners[s->listener_count];
    l->port = port;
    l->host = host ? strdup(host) : NULL;
    if (host && !l->host)
        return no_memory(s);
    return (int)s->listener_count++;
}

int site_add_certificate(struct site *s, int listener, const char *cert_path, const char *key_path)
{
    if (listener < 0 || (size_t)listener >= s->listener_count)
        return fail(s, ERR_INVALID, "certificate: there is no listener %d", listener);
    if (!cert_path || !*cert_path)
        return fail(s, ERR_INVALID, "listen: tls needs the path of a certificate: cert = \"…\"");
    struct site_listener *l = &s->listeners[listener];
    void *certificates = l->certificates;
    if (grow(s, &certificates, l->certificate_count, sizeof(*l->certificates)) < 0)
        return ERR_MEMORY;
    l->certificates = certificates;
    struct site_certificate *c = &l->certificates[l->certificate_count];
    c->cert_path = strdup(cert_path);
    c->key_path = key_path ? strdup(key_path) : NULL;
    if (!c->cert_path || (key_path && !c->key_path)) {
        free(c->cert_path);
        free(c->key_path);
        return no_memory(s);
    }
    l->certificate_count++;
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
    void *files = s->files;
    if (grow(s, &files, s->file_count, sizeof(*s->files)) < 0)
        return ERR_MEMORY;
    s->files = files;
    struct site_file *f = &s->files[s->file_count];
    f->path = strdup(path);
    if (!f->path)
        return no_memory(s);
    snprintf(f->digest, sizeof(f->digest), "%s", digest);
    s->file_count++;
    return 0;
}

/* ---- commit ---- */

static void inherit_limits(struct site *s, struct site_route *r)
{
    for (unsigned i = 0; limits_name(i); i++) {
        if (!(r->limits_set & 1u << i))
            *limits_field(&r->limits, limits_name(i)) = *limits_field(&s->limits, limits_name(i));
    }
}

/* The prefix itself, without a slash behind it, so that it can be redirected. Only now: a route
 * that the app declares at the same path wins, in whatever order they came. */
static int add_bare_prefix(struct site *s, size_t route)
{
    const struct site_route *r = &s->routes[route];
    const char *why;
    if (strcmp(r->pattern, "/") == 0) /* it is in "/" + "*rest" */
        return 0;
    int status =
        router_add(s->router, r->pattern, strlen(r->pattern), r->methods, (uint32_t)route, &why);
    return status == ERR_MEMORY ? no_memory(s) : 0;
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
            int status = add_bare_prefix(s, i);
            if (status < 0)
                return status;
        }
    }
    s->declared_count = s->route_count;
    return 0;
}
