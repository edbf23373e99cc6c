/* Routes by method and path, with 404, 405, 426, 501 and OPTIONS where none takes the request. */
#include "engine/http/http_route.h"

#include <string.h>

#include "base/error.h"
#include "engine/http/http_answer.h"
#include "engine/http/http_upgrade.h"
#include "engine/worker/worker.h"

enum { ALLOW_BYTES = 96 };

/* "Allow: GET, HEAD\r\n" for a mask of methods. */
static const char *allow(char out[ALLOW_BYTES], uint32_t methods)
{
    static const struct {
        uint32_t methods;
        const char *name;
    } names[] = {
        {HTTP_GET | HTTP_WEBSOCKET, "GET"},
        {HTTP_HEAD | HTTP_GET, "HEAD"},
        {HTTP_POST, "POST"},
        {HTTP_PUT, "PUT"},
        {HTTP_DELETE, "DELETE"},
        {HTTP_PATCH, "PATCH"},
        {HTTP_ANY | HTTP_WEBSOCKET, "OPTIONS"},
    };
    char *at = stpcpy(out, "Allow: ");
    const char *comma = "";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (methods & names[i].methods) {
            at = stpcpy(stpcpy(at, comma), names[i].name);
            comma = ", ";
        }
    }
    strcpy(at, "\r\n");
    return out;
}

/* RFC 9110 §9.3.7: tells which methods this path takes, or the server. */
static void answer_options(struct worker *w, struct conn *c, uint32_t methods)
{
    struct http_session *s = c->http;
    char line[ALLOW_BYTES];
    struct http_response r = {.status = 204, .headers = allow(line, methods)};
    r.headers_len = strlen(line);
    s->close = s->close || s->body_unread;
    if (http_answer_head(w, c, &r) == 0)
        http_answer_done(w, c);
}

static void refuse_plain(struct worker *w, struct conn *c)
{
    http_answer_refuse(w, c, 426, "this path speaks WebSocket", http_upgrade_wanted);
}

void http_route_not_found(struct worker *w, struct conn *c, const char *why)
{
    const struct http_session *s = c->http;
    struct router_match match;
    if (router_match(w->site->router, (const char *)s->in.data + s->head.path.at, s->head.path.len,
                     HTTP_WEBSOCKET, &match) == 0)
        refuse_plain(w, c);
    else
        http_answer_refuse(w, c, 404, why, NULL);
}

/* No route takes this method at this path. */
static void refuse_path(struct worker *w, struct conn *c)
{
    const struct http_session *s = c->http;
    uint32_t allowed = s->match.allowed;
    char line[ALLOW_BYTES];
    if (allowed == 0)
        http_answer_refuse(w, c, 404, "there is nothing at this path", NULL);
    else if ((allowed & HTTP_WEBSOCKET) && (s->head.method & (HTTP_GET | HTTP_HEAD)))
        refuse_plain(w, c);
    else if (s->head.method == HTTP_OPTIONS)
        answer_options(w, c, allowed);
    else
        http_answer_refuse(w, c, 405, "this path does not take this method", allow(line, allowed));
}

/* A request that asks for an upgrade which its path does not offer is served without it (RFC 9110
 * §7.8). */
bool http_route_find(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (s->head.method == 0) {
        http_answer_refuse(w, c, 501, "this method is not known here", NULL);
        return false;
    }
    const char *path = (const char *)s->in.data + s->head.path.at;
    if (s->head.path.len == 1 && *path == '*') {
        answer_options(w, c, HTTP_ANY);
        return false;
    }
    int found = ERR_NOT_FOUND;
    if (s->head.upgrade_websocket)
        found = router_match(w->site->router, path, s->head.path.len, HTTP_WEBSOCKET, &s->match);
    if (found < 0)
        found = router_match(w->site->router, path, s->head.path.len, s->head.method, &s->match);
    if (found < 0) {
        refuse_path(w, c);
        return false;
    }
    for (uint32_t i = 0; i < s->match.param_count; i++)
        s->match.params[i].at += s->head.path.at;
    return true;
}
