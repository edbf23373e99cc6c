/* Routes as an app declares them: paths, folders, protocols, origins. */
#include "engine/ground/site_routes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/host_rule.h"
#include "protocol/http_mime.h"
#include "protocol/http_syntax.h"
#include "protocol/origin.h"

/* ---- paths ---- */

static struct site_route *new_route(struct site *s, const char *pattern, size_t len)
{
    struct site_route *routes = site_grow(s, s->routes, s->route_count, sizeof(*routes));
    if (!routes)
        return NULL;
    s->routes = routes;
    struct site_route *r = &s->routes[s->route_count];
    r->pattern = strndup(pattern, len);
    if (!r->pattern) {
        site_no_memory(s);
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
    int err = router_add(s->router, pattern, len, methods, (uint32_t)s->route_count, &why);
    if (err == ERR_MEMORY)
        return site_no_memory(s);
    if (err)
        return site_fail(s, err, "route \"%.*s\": %s", (int)len, pattern, why);
    return 0;
}

int site_add_route(struct site *s, const char *pattern, size_t len, uint32_t methods)
{
    bool http = methods & HTTP_ANY;
    bool websocket = methods & HTTP_WEBSOCKET;
    if (http == websocket || (methods & ~(uint32_t)(HTTP_ANY | HTTP_WEBSOCKET)))
        return site_fail(s, ERR_INVALID,
                         "route \"%.*s\": it needs HTTP methods or WebSocket, one of both",
                         (int)len, pattern);
    if (memchr(pattern, '\0', len))
        return site_fail(s, ERR_INVALID, "route \"%s\": a pattern holds no NUL", pattern);
    struct site_route *r = new_route(s, pattern, len);
    if (!r)
        return ERR_MEMORY;
    int err = route_pattern(s, pattern, len, methods);
    if (err) {
        site_route_deinit(r);
        return err;
    }
    r->kind = websocket ? SITE_WEBSOCKET : SITE_HTTP;
    r->methods = methods;
    return (int)s->route_count++;
}

static int open_folder(struct site *s, const char *folder, size_t len)
{
    if (len == 0)
        return site_fail(s, ERR_INVALID, "the folder's name is empty");
    char *path = memchr(folder, '\0', len) ? NULL : strndup(folder, len);
    if (!path)
        return site_fail(s, ERR_INVALID, "folder \"%.*s\": a path holds no NUL", (int)len, folder);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int reason = errno;
    free(path);
    if (fd >= 0)
        return fd;
    const char *why = reason == ENOENT    ? "no such directory"
                      : reason == ENOTDIR ? "it is not a directory"
                                          : strerror(reason);
    return site_fail(s, ERR_NOT_FOUND, "folder \"%.*s\": %s", (int)len, folder, why);
}

int site_add_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                    size_t folder_len)
{
    static const char rest[] = "/*rest";
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/')
        prefix_len--;
    if (prefix_len > 0 && (memchr(prefix, ':', prefix_len) || memchr(prefix, '*', prefix_len) ||
                           memchr(prefix, '\0', prefix_len)))
        return site_fail(s, ERR_INVALID, "static prefix \"%.*s\": a prefix holds no parameters",
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
    int err = pattern && r->folder_path ? 0 : site_no_memory(s);
    if (err == 0) {
        memcpy(pattern, prefix, prefix_len);
        memcpy(pattern + prefix_len, rest, sizeof(rest));
        err = route_pattern(s, pattern, prefix_len + sizeof(rest) - 1, r->methods);
    }
    free(pattern);
    if (err) {
        site_route_deinit(r);
        return err;
    }
    return (int)s->route_count++;
}

/* ---- lists ---- */

/* Appends a copy to a NULL-terminated list. 0 or ERR_MEMORY. */
static int list_add(struct site *s, char ***list, const char *text, size_t len)
{
    size_t count = 0;
    while (*list && (*list)[count])
        count++;
    char *copy = strndup(text, len);
    char **more = copy ? realloc(*list, (count + 2) * sizeof(*more)) : NULL;
    if (!more) {
        free(copy);
        return site_no_memory(s);
    }
    more[count] = copy;
    more[count + 1] = NULL;
    *list = more;
    return 0;
}

/* ---- content types ---- */

static bool ending_valid(const char *ending, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)ending[i] <= 0x20 || ending[i] == 0x7F || ending[i] == '.' || ending[i] == '/')
            return false;
    }
    return len > 0;
}

int site_add_type(struct site *s, int route, const char *ending, size_t ending_len,
                  const char *type, size_t type_len)
{
    if (route < 0 || (size_t)route >= s->route_count || s->routes[route].kind != SITE_STATIC)
        return site_fail(s, ERR_INVALID, "types: route %d is not a folder", route);
    if (!ending_valid(ending, ending_len))
        return site_fail(
            s, ERR_INVALID,
            "types: \"%.*s\" is not the ending of a file's name: write what follows its "
            "last dot, as in { ts = \"text/plain\" }",
            (int)ending_len, ending);
    if (!http_mime_valid(type, type_len))
        return site_fail(s, ERR_INVALID,
                         "types: \"%.*s\" is not a media type for .%.*s: write type/subtype, as in "
                         "\"text/plain; charset=utf-8\"",
                         (int)type_len, type, (int)ending_len, ending);
    struct site_route *r = &s->routes[route];
    for (char **known = r->types; known && *known; known += 2) {
        if (strlen(*known) == ending_len && strncasecmp(*known, ending, ending_len) == 0)
            return site_fail(s, ERR_INVALID, "types: .%.*s has two types", (int)ending_len, ending);
    }
    int err = list_add(s, &r->types, ending, ending_len);
    return err ? err : list_add(s, &r->types, type, type_len);
}

/* ---- who may connect ---- */

int site_add_protocol(struct site *s, int route, const char *name, size_t len)
{
    struct site_route *r = site_websocket_route(s, route, "protocols");
    if (!r)
        return ERR_INVALID;
    if (!http_is_token(name, len))
        return site_fail(s, ERR_INVALID,
                         "protocol \"%.*s\": a name is letters, digits and !#$%%&'*+-.^_`|~",
                         (int)len, name);
    for (size_t i = 0; r->protocols && r->protocols[i]; i++) {
        if (strlen(r->protocols[i]) == len && memcmp(r->protocols[i], name, len) == 0)
            return site_fail(s, ERR_INVALID, "protocol \"%.*s\" is named twice", (int)len, name);
    }
    return list_add(s, &r->protocols, name, len);
}

int site_add_origin(struct site *s, int route, const char *origin, size_t len)
{
    struct site_route *r = site_websocket_route(s, route, "origins");
    if (!r)
        return ERR_INVALID;
    const char *why = origin_rule_problem(origin, len);
    if (why)
        return site_fail(s, ERR_INVALID, "origin \"%.*s\": %s", (int)len, origin, why);
    return list_add(s, &r->origins, origin, len);
}

int site_add_host(struct site *s, const char *rule, size_t len)
{
    const char *why = host_rule_problem(rule, len);
    if (why)
        return site_fail(s, ERR_INVALID, "host \"%.*s\": %s", (int)len, rule, why);
    for (size_t i = 0; s->hosts && s->hosts[i]; i++) {
        if (strlen(s->hosts[i]) == len && memcmp(s->hosts[i], rule, len) == 0)
            return site_fail(s, ERR_INVALID, "host \"%s\" is named twice", s->hosts[i]);
    }
    return list_add(s, &s->hosts, rule, len);
}
