#include "engine/http_conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/batch.h"
#include "engine/static_files.h"
#include "engine/worker.h"
#include "engine/ws_conn.h"
#include "protocol/http_syntax.h"

enum {
    POOL_MAX = 64,                 /* sessions that a worker keeps for later */
    KEEP_BYTES = 32 * 1024,        /* larger buffers are not kept with them */
    OUTPUT_BOUND = 256 * 1024,     /* with more output waiting, no further request is begun */
    ANSWER_BYTES_PER_SECOND = 1024 /* a peer that takes an answer more slowly is given up */
};

/* With 426 (RFC 6455 §4.4, RFC 9110 §7.8, §15.5.22). */
#define UPGRADE_WANTED "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/* Input that is being used up: borrowed bytes of the socket, or those that were held back. */
struct cursor {
    const char *data;
    size_t len;
};

/* ---- sessions ---- */

static void trim(struct buffer *b)
{
    if (b->cap > KEEP_BYTES)
        buffer_deinit(b);
    b->len = 0;
}

/* The session of the connection, for a first or next request. NULL: out of memory. */
static struct http_session *session_get(struct worker *w, struct conn *c)
{
    if (c->http)
        return c->http;
    struct http_session *s = w->free_sessions;
    if (s) {
        w->free_sessions = s->next_free;
        w->free_session_count--;
    } else {
        s = calloc(1, sizeof(*s));
        if (!s)
            return NULL;
    }
    s->next_free = NULL;
    s->state = HTTP_HEAD_WANTED;
    s->have_head = s->body_unread = false;
    s->close = false;
    s->upgrading = false;
    s->unsent = 0;
    s->parser = (struct http_head_parser){0};
    c->http = s;
    return s;
}

static void session_free(struct http_session *s)
{
    buffer_deinit(&s->in);
    buffer_deinit(&s->body);
    buffer_deinit(&s->held);
    free(s);
}

void http_session_release(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (!s)
        return;
    c->http = NULL;
    if (w->free_session_count >= POOL_MAX) {
        session_free(s);
        return;
    }
    trim(&s->in);
    trim(&s->body);
    trim(&s->held);
    s->held_at = 0;
    s->next_free = w->free_sessions;
    w->free_sessions = s;
    w->free_session_count++;
}

void http_session_pool_deinit(struct worker *w)
{
    while (w->free_sessions) {
        struct http_session *s = w->free_sessions;
        w->free_sessions = s->next_free;
        session_free(s);
    }
    w->free_session_count = 0;
}

/* Does the connection still speak HTTP? Anything that queues output may have killed it. */
static bool alive(const struct conn *c)
{
    return c->state == CONN_HTTP && c->http;
}

static size_t held(const struct http_session *s)
{
    return s->held.len - s->held_at;
}

/* Input is wanted again. What TLS has read ahead makes no socket readable. */
static void read_on(struct worker *w, struct conn *c)
{
    if (!c->http_full)
        return;
    c->http_full = false;
    conn_watch(w, c);
    if (transport_pending(&c->transport))
        ev_feed_event(w->loop, &c->io, EV_READ);
}

/* Keeps input for later. What is held back beyond the size of a head is left to TCP. */
static void hold_back(struct worker *w, struct conn *c, const void *data, size_t len)
{
    struct http_session *s = c->http;
    if (s->held_at == s->held.len)
        s->held_at = s->held.len = 0;
    if (buffer_append(&s->held, data, len) < 0) {
        conn_kill(w, c);
        return;
    }
    if (!c->http_full && held(s) >= w->site->limits.head_bytes) {
        c->http_full = true;
        conn_watch(w, c);
    }
}

/* ---- the end of an answer ---- */

static void answer_deadline(struct worker *w, struct conn *c)
{
    c->http->unsent = c->out.queued;
    conn_deadline(w, c, w->site->limits.request_seconds);
}

static void linger(struct worker *w, struct conn *c)
{
    http_session_release(w, c);
    conn_linger(w, c);
}

/* No further request of this connection is read; it lingers when the output is taken. What the peer
 * still sends is read and dropped: unread bytes would make the system reset the connection, and the
 * peer might lose the answer (RFC 9112 §9.6). */
static void end_input(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    s->state = HTTP_ENDED;
    s->in.len = s->held.len = s->held_at = 0;
    read_on(w, c);
    if (c->out.queued == 0) {
        linger(w, c);
        return;
    }
    answer_deadline(w, c);
    conn_dirty(w, c);
}

static void next_request(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    s->upgrading = false;
    if (s->close) {
        end_input(w, c);
        return;
    }
    s->state = HTTP_HEAD_WANTED;
    s->have_head = false;
    s->parser = (struct http_head_parser){0};
    s->in.len = 0;
    trim(&s->body);
    answer_deadline(w, c);
    conn_dirty(w, c);
    if (held(s) > 0 || c->peer_ended)
        conn_resume_later(w, c);
}

void http_conn_answered(struct worker *w, struct conn *c)
{
    count(&w->counters, COUNT_REQUESTS, 1);
    next_request(w, c);
}

void http_conn_drained(struct worker *w, struct conn *c)
{
    if (!alive(c))
        return;
    struct http_session *s = c->http;
    if (s->state == HTTP_ENDED) {
        linger(w, c);
    } else if (s->state == HTTP_HEAD_WANTED) {
        if (held(s) > 0 || c->peer_ended) {
            conn_resume_later(w, c);
        } else if (s->in.len == 0) {
            http_session_release(w, c);
            conn_deadline(w, c, w->site->limits.keep_alive_seconds);
        }
    }
}

/* ---- answers ---- */

static int queue(struct worker *w, struct conn *c, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *out = conn_reserve(w, c, len, false);
    if (!out)
        return ERR_MEMORY;
    memcpy(out, data, len);
    return 0;
}

static int queue_scratch(struct worker *w, struct conn *c)
{
    int status = queue(w, c, w->scratch.data, w->scratch.len);
    w->scratch.len = 0;
    return status;
}

int http_conn_head(struct worker *w, struct conn *c, struct http_response *r)
{
    struct http_session *s = c->http;
    if (w->drain_started > 0 || (c->peer_ended && held(s) == 0))
        s->close = true;
    r->now = (time_t)ev_now(w->loop);
    r->close = s->close;
    r->keep_alive = !s->close && s->head.minor == 0;
    if (http_response_head(&w->scratch, r) < 0) {
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    return queue_scratch(w, c);
}

/* After these the input may not be where a next request begins, or its sender cannot be trusted to
 * mean what it says (RFC 9112 §9.3, §11.2). */
static bool ends_connection(unsigned status)
{
    switch (status) {
    case 400:
    case 408:
    case 411:
    case 413:
    case 414:
    case 417:
    case 431:
    case 501:
    case 503:
    case 505:
        return true;
    default:
        return false;
    }
}

static void note_refusal(struct worker *w, struct conn *c, unsigned status, const char *why)
{
    struct http_session *s = c->http;
    if (status < 400) {
        count(&w->counters, COUNT_REQUESTS, 1);
        return;
    }
    bool handshake = s->have_head && (s->head.upgrade_websocket || status == 426);
    count(&w->counters, handshake ? COUNT_REFUSED_HANDSHAKES : COUNT_REFUSED_REQUESTS, 1);
    if (w->log->level <= LOG_DEBUG)
        worker_log_peer(w, LOG_DEBUG, c, "%s refused with %u: %s",
                        handshake ? "handshake" : "request", status, why);
}

void http_conn_refuse(struct worker *w, struct conn *c, unsigned status, const char *why,
                      const char *headers)
{
    struct http_session *s = c->http;
    s->state = HTTP_BODY_WANTED; /* not idle: a flush must not take the session away */
    if (s->body_unread || ends_connection(status))
        s->close = true;
    note_refusal(w, c, status, why);
    size_t len = strlen(why);
    struct http_response r = {.status = status,
                              .has_length = true,
                              .content_length = len + 1,
                              .type = "text/plain; charset=utf-8",
                              .headers = headers,
                              .headers_len = headers ? strlen(headers) : 0};
    if (http_conn_head(w, c, &r) < 0)
        return;
    bool head_only = s->have_head && s->head.method == HTTP_HEAD;
    if (!head_only && (queue(w, c, why, len) < 0 || queue(w, c, "\n", 1) < 0))
        return;
    next_request(w, c);
}

/* Does the block of whole lines hold a Content-Type? */
static bool names_type(const char *headers, size_t len)
{
    static const char name[] = "content-type:";
    while (len >= sizeof(name) - 1) {
        if (http_equal(headers, sizeof(name) - 1, name))
            return true;
        const char *end = memchr(headers, '\n', len);
        if (!end)
            return false;
        len -= (size_t)(end + 1 - headers);
        headers = end + 1;
    }
    return false;
}

/* The session, if it waits for the script's answer to this request. */
static struct http_session *waiting(struct conn *c, uint32_t serial)
{
    struct http_session *s = alive(c) ? c->http : NULL;
    return s && s->state == HTTP_ANSWERING && s->serial == serial ? s : NULL;
}

int http_conn_respond(struct worker *w, struct conn *c, uint32_t serial, uint32_t status,
                      const char *headers, size_t headers_len, const char *body, size_t body_len)
{
    struct http_session *s = waiting(c, serial);
    if (!s)
        return ERR_CLOSED;
    if (status < 200 || status > 599)
        return ERR_INVALID;
    s->state = HTTP_BODY_WANTED; /* answered: its end is no EVENT_ABORT any more */
    /* RFC 9110 §15.3.5, §15.3.6, §15.4.5: these have no content. */
    if (status == 204 || status == 205 || status == 304)
        body_len = 0;
    struct http_response r = {.status = status,
                              .has_length = status != 204 && status != 304,
                              .content_length = body_len,
                              .headers = headers,
                              .headers_len = headers_len};
    if (body_len > 0 && !names_type(headers, headers_len))
        r.type = "text/plain; charset=utf-8";
    if (http_conn_head(w, c, &r) < 0)
        return ERR_MEMORY;
    if (s->head.method != HTTP_HEAD && queue(w, c, body, body_len) < 0)
        return ERR_MEMORY;
    if (s->upgrading) {
        count(&w->counters, COUNT_REFUSED_HANDSHAKES, 1);
        next_request(w, c);
    } else {
        http_conn_answered(w, c);
    }
    return 0;
}

/* ---- the upgrade to WebSocket ---- */

/* What came behind the handshake. The reader works in place and the events of the batch point into
 * it, so the batch gets a copy of its own. */
static void input_to_websocket(struct worker *w, struct conn *c, struct buffer *rest)
{
    if (rest->len == 0) {
        buffer_deinit(rest);
        return;
    }
    if (batch_own(&w->batch, rest->data) < 0) {
        buffer_deinit(rest);
        conn_kill(w, c);
        return;
    }
    ws_conn_input(w, c, rest->data, rest->len);
}

static int start_websocket(struct worker *w, struct conn *c, const char *protocol,
                           const char *headers, size_t headers_len, struct cursor *cur)
{
    struct http_session *s = c->http;
    struct deflate_params deflate = s->handshake.deflate;
    struct buffer rest = {0};
    const char *key = (const char *)s->in.data + s->handshake.key.at;
    if (buffer_append(&rest, cur->data, cur->len) < 0 ||
        handshake_response(&w->scratch, key, protocol, &deflate, headers, headers_len) < 0) {
        buffer_deinit(&rest);
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    cur->len = 0;
    s->state = HTTP_BODY_WANTED;
    if (queue_scratch(w, c) < 0 || ws_conn_start(w, c, s->match.target, protocol, &deflate) < 0) {
        buffer_deinit(&rest);
        return ERR_MEMORY;
    }
    http_session_release(w, c);
    read_on(w, c);
    input_to_websocket(w, c, &rest);
    if (c->peer_ended && (c->state == CONN_OPEN || c->state == CONN_CLOSING))
        ws_conn_eof(w, c);
    return 0;
}

static struct cursor held_input(const struct http_session *s)
{
    return (struct cursor){(const char *)s->held.data + s->held_at, held(s)};
}

int http_conn_accept(struct worker *w, struct conn *c, uint32_t serial, const char *protocol,
                     size_t protocol_len, const char *headers, size_t headers_len)
{
    struct http_session *s = waiting(c, serial);
    if (!s)
        return ERR_CLOSED;
    char name[256];
    if (!s->upgrading || protocol_len >= sizeof(name))
        return ERR_INVALID;
    const char *chosen = s->handshake.protocol;
    if (protocol) {
        if (protocol_len > 0 &&
            !handshake_offers(&s->head, (const char *)s->in.data, protocol, protocol_len))
            return ERR_INVALID;
        memcpy(name, protocol, protocol_len);
        name[protocol_len] = '\0';
        chosen = protocol_len > 0 ? name : NULL;
    }
    struct cursor cur = held_input(s);
    return start_websocket(w, c, chosen, headers, headers_len, &cur);
}

/* ---- requests ---- */

static void to_script(struct worker *w, struct conn *c, enum event_kind kind)
{
    struct http_session *s = c->http;
    struct event *e = batch_add(&w->batch);
    if (!e) {
        http_conn_refuse(w, c, 503, "out of memory", NULL);
        return;
    }
    s->state = HTTP_ANSWERING;
    conn_deadline(w, c, 0); /* the script may wait */
    e->kind = (uint8_t)kind;
    e->conn = conn_handle(w, c);
    e->route = s->match.target;
    e->serial = s->serial;
}

/* Head and body are whole. */
static void request_whole(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    const struct site_route *route = &w->site->routes[s->match.target];
    if (route->kind == SITE_HTTP) {
        to_script(w, c, EVENT_REQUEST);
        return;
    }
    struct http_span rest = {s->head.path.at + s->head.path.len, 0};
    if (s->match.param_count > 0)
        rest = s->match.params[s->match.param_count - 1];
    static_files_serve(w, c, route->folder, (const char *)s->in.data + rest.at, rest.len);
}

static void upgrade(struct worker *w, struct conn *c, struct cursor *cur)
{
    struct http_session *s = c->http;
    const struct site_route *route = &w->site->routes[s->match.target];
    if (handshake_check(&s->handshake, &s->head, (const char *)s->in.data, &route->handshake,
                        c->secure) < 0) {
        const char *headers = NULL;
        if (s->handshake.status == 405)
            headers = "Allow: GET\r\n";
        else if (s->handshake.status == 426)
            headers = UPGRADE_WANTED;
        http_conn_refuse(w, c, s->handshake.status, s->handshake.why, headers);
        return;
    }
    if (!route->has_upgrade) {
        (void)start_websocket(w, c, s->handshake.protocol, NULL, 0, cur);
        return;
    }
    s->upgrading = true;
    to_script(w, c, EVENT_UPGRADE);
}

/* RFC 9110 §8.6, §15.5.12: a body may follow, but where does it end? In HTTP/1.1 no length means no
 * body (RFC 9112 §6.3), unless the type of one is named. */
static bool lacks_length(const struct http_session *s)
{
    const struct http_head *h = &s->head;
    if (h->has_length || h->chunked || !(h->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH)))
        return false;
    unsigned types = 0;
    http_head_field(h, (const char *)s->in.data, "content-type", &types);
    return h->minor == 0 || types > 0;
}

static void begin_body(struct worker *w, struct conn *c, const struct cursor *cur)
{
    struct http_session *s = c->http;
    const struct limits *limits = &w->site->routes[s->match.target].limits;
    if (lacks_length(s)) {
        http_conn_refuse(w, c, 411, "a body needs a Content-Length", NULL);
        return;
    }
    if (!s->body_unread) {
        request_whole(w, c);
        return;
    }
    if (http_body_start(&s->body_reader, s->head.chunked, s->head.content_length,
                        limits->body_bytes) < 0) {
        http_conn_refuse(w, c, 413, "the body is too large", NULL);
        return;
    }
    conn_deadline(w, c, limits->request_seconds);
    /* RFC 9110 §10.1.1: not needed when the client did not wait. */
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (s->head.expect_continue && cur->len == 0)
        (void)queue(w, c, go_on, sizeof(go_on) - 1);
}

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

/* RFC 9110 §9.3.7: what may be asked of this path, or of the server. */
static void answer_options(struct worker *w, struct conn *c, uint32_t methods)
{
    struct http_session *s = c->http;
    char line[ALLOW_BYTES];
    struct http_response r = {.status = 204, .headers = allow(line, methods)};
    r.headers_len = strlen(line);
    s->close = s->close || s->body_unread;
    if (http_conn_head(w, c, &r) == 0)
        http_conn_answered(w, c);
}

static void refuse_plain(struct worker *w, struct conn *c)
{
    http_conn_refuse(w, c, 426, "this path speaks WebSocket", UPGRADE_WANTED);
}

void http_conn_not_found(struct worker *w, struct conn *c, const char *why)
{
    const struct http_session *s = c->http;
    struct router_match match;
    if (router_match(w->site->router, (const char *)s->in.data + s->head.path.at, s->head.path.len,
                     HTTP_WEBSOCKET, &match) == 0)
        refuse_plain(w, c);
    else
        http_conn_refuse(w, c, 404, why, NULL);
}

/* No route takes this method at this path. */
static void refuse_path(struct worker *w, struct conn *c)
{
    const struct http_session *s = c->http;
    uint32_t allowed = s->match.allowed;
    char line[ALLOW_BYTES];
    if (allowed == 0)
        http_conn_refuse(w, c, 404, "there is nothing at this path", NULL);
    else if ((allowed & HTTP_WEBSOCKET) && (s->head.method & (HTTP_GET | HTTP_HEAD)))
        refuse_plain(w, c);
    else if (s->head.method == HTTP_OPTIONS)
        answer_options(w, c, allowed);
    else
        http_conn_refuse(w, c, 405, "this path does not take this method", allow(line, allowed));
}

/* A request that asks for an upgrade which its path does not offer is served without it (RFC 9110
 * §7.8). */
static int find_route(struct worker *w, struct http_session *s)
{
    const char *path = (const char *)s->in.data + s->head.path.at;
    int found = ERR_NOT_FOUND;
    if (s->head.upgrade_websocket)
        found = router_match(w->site->router, path, s->head.path.len, HTTP_WEBSOCKET, &s->match);
    if (found < 0)
        found = router_match(w->site->router, path, s->head.path.len, s->head.method, &s->match);
    if (found < 0)
        return found;
    for (uint32_t i = 0; i < s->match.param_count; i++)
        s->match.params[i].at += s->head.path.at;
    return 0;
}

static void head_whole(struct worker *w, struct conn *c, struct cursor *cur)
{
    struct http_session *s = c->http;
    if (++c->request_serial == 0)
        c->request_serial = 1;
    s->serial = c->request_serial;
    s->state = HTTP_BODY_WANTED;
    s->have_head = true;
    s->close = !s->head.keep_alive;
    s->body_unread = s->head.chunked || s->head.content_length > 0;
    if (s->head.method == 0) {
        http_conn_refuse(w, c, 501, "this method is not known here", NULL);
        return;
    }
    if (s->head.path.len == 1 && s->in.data[s->head.path.at] == '*') {
        answer_options(w, c, HTTP_ANY);
        return;
    }
    if (find_route(w, s) < 0) {
        refuse_path(w, c);
        return;
    }
    if (w->site->routes[s->match.target].kind == SITE_WEBSOCKET)
        upgrade(w, c, cur);
    else
        begin_body(w, c, cur);
}

/* ---- input ---- */

/* A head is parsed where it lies and copied when it is whole, or when the input ends inside it. */
static void read_head(struct worker *w, struct conn *c, struct cursor *cur)
{
    struct http_session *s = c->http;
    const struct limits *l = &w->site->limits;
    const struct http_head_limits limits = {l->target_bytes, l->head_bytes, l->header_count};
    size_t before = s->in.len;
    if (before > 0 && buffer_append(&s->in, cur->data, cur->len) < 0) {
        conn_kill(w, c);
        return;
    }
    int status = before > 0 ? http_head_parse(&s->parser, (const char *)s->in.data, s->in.len,
                                              &limits, &s->head)
                            : http_head_parse(&s->parser, cur->data, cur->len, &limits, &s->head);
    if (status < 0) {
        http_conn_refuse(w, c, s->parser.status, s->parser.why, NULL);
        return;
    }
    size_t kept = status > 0 ? s->head.len : cur->len;
    if (before > 0) {
        s->in.len = status > 0 ? s->head.len : s->in.len;
        kept = s->in.len - before;
    } else if (buffer_append(&s->in, cur->data, kept) < 0) {
        conn_kill(w, c);
        return;
    }
    cur->data += kept;
    cur->len -= kept;
    if (status > 0)
        head_whole(w, c, cur);
    else if (before == 0 && c->request_serial > 0) /* the first began when it was accepted */
        conn_deadline(w, c, l->handshake_seconds);
}

static void read_body(struct worker *w, struct conn *c, struct cursor *cur)
{
    struct http_session *s = c->http;
    const char *part;
    size_t part_len;
    int status;
    while ((status = http_body_read(&s->body_reader, &cur->data, &cur->len, &part, &part_len)) ==
           1) {
        if (buffer_append(&s->body, part, part_len) < 0) {
            conn_kill(w, c);
            return;
        }
    }
    if (status == 2) {
        s->body_unread = false;
        request_whole(w, c);
    } else if (status == ERR_TOO_BIG) {
        http_conn_refuse(w, c, 413, "the body is too large", NULL);
    } else if (status < 0) {
        http_conn_refuse(w, c, 400, s->body_reader.why, NULL);
    }
}

/* Uses up input until it ends, an answer is waited for, or the peer does not take its answers. */
static void run(struct worker *w, struct conn *c, struct cursor *cur)
{
    while (alive(c) && cur->len > 0) {
        enum http_state state = (enum http_state)c->http->state;
        if (state == HTTP_HEAD_WANTED && c->out.queued <= OUTPUT_BOUND)
            read_head(w, c, cur);
        else if (state == HTTP_BODY_WANTED)
            read_body(w, c, cur);
        else
            return;
    }
}

void http_conn_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    struct http_session *s = session_get(w, c);
    if (!s) {
        conn_kill(w, c);
        return;
    }
    struct cursor cur = {(const char *)data, len};
    if (held(s) == 0)
        run(w, c, &cur);
    if (cur.len > 0 && alive(c) && c->http->state != HTTP_ENDED)
        hold_back(w, c, cur.data, cur.len);
}

void http_conn_resume(struct worker *w, struct conn *c)
{
    if (!alive(c))
        return;
    struct http_session *s = c->http;
    struct cursor cur = held_input(s);
    run(w, c, &cur);
    if (!alive(c) || s->state == HTTP_ENDED)
        return;
    s->held_at = s->held.len - cur.len;
    if (held(s) < w->site->limits.head_bytes)
        read_on(w, c);
    if (c->peer_ended && held(s) == 0 && s->state != HTTP_ANSWERING)
        end_input(w, c);
}

void http_conn_eof(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (!s) {
        conn_linger(w, c);
        return;
    }
    /* A peer may end its side and still wait for answers. An incomplete request gets none. */
    if (s->state == HTTP_BODY_WANTED || (s->state == HTTP_HEAD_WANTED && held(s) == 0))
        end_input(w, c);
}

/* Enough of the answer was taken since the last look, or the peer is given up. */
static void check_progress(struct worker *w, struct conn *c)
{
    const struct http_session *s = c->http;
    size_t taken = s->unsent > c->out.queued ? s->unsent - c->out.queued : 0;
    if (taken >= (uint64_t)ANSWER_BYTES_PER_SECOND * w->site->limits.request_seconds)
        answer_deadline(w, c);
    else
        conn_kill(w, c);
}

void http_conn_expired(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (s && s->state == HTTP_ANSWERING)
        return;
    if (s && s->state == HTTP_BODY_WANTED) {
        http_conn_refuse(w, c, 408, "the body did not come in time", NULL);
        return;
    }
    if (c->request_serial == 0 || (s && s->in.len > 0))
        count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    if (s && s->state == HTTP_HEAD_WANTED && s->in.len > 0)
        http_conn_refuse(w, c, 408, "the request did not come in time", NULL);
    else if (c->out.queued > 0 && s)
        check_progress(w, c);
    else
        conn_linger(w, c); /* nothing was begun: nothing to say (RFC 9112 §9.5) */
}
