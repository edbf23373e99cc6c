/* The role of a connection that speaks HTTP/1.1: requests in, answers out. */
#include "engine/http/http_conn.h"

#include <string.h>

#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/http/http_answer.h"
#include "engine/http/http_host.h"
#include "engine/http/http_route.h"
#include "engine/http/http_upgrade.h"
#include "engine/http/static_files.h"
#include "protocol/http_syntax.h"

/* What a session of the pool has is not counted. */
enum { ACCOUNTED_BYTES = 16 * 1024 };

/* With more output waiting, no further request is begun. */
enum { OUTPUT_BOUND = 256 * 1024 };

/* A peer that has ended its side while the script answers is looked at so often. */
enum { GONE_SECONDS = 1 };

/* ---- requests ---- */

/* An event of the request that is read or answered; NULL when out of memory. */
static struct event *request_event(struct worker *w, struct conn *c, enum event_kind kind)
{
    struct event *e = conn_event(w, c, kind);
    if (e) {
        e->route = (int32_t)c->http->match.target;
        e->serial = c->http->serial;
    }
    return e;
}

static void to_script(struct worker *w, struct conn *c, enum event_kind kind)
{
    if (!request_event(w, c, kind)) {
        http_answer_refuse(w, c, 503, "out of memory", NULL);
        return;
    }
    c->http->state = HTTP_ANSWERING;
    conn_deadline(w, c, c->peer_ended ? GONE_SECONDS : 0); /* the script may wait */
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
    static_files_serve(w, c, route, (const char *)s->in.data + rest.at, rest.len);
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

static void begin_body(struct worker *w, struct conn *c, const struct http_cursor *cur)
{
    struct http_session *s = c->http;
    const struct limits *limits = &w->site->routes[s->match.target].limits;
    if (lacks_length(s)) {
        http_answer_refuse(w, c, 411, "a body needs a Content-Length", NULL);
        return;
    }
    if (!s->body_unread) {
        request_whole(w, c);
        return;
    }
    if (http_body_start(&s->body_reader, s->head.chunked, s->head.content_length,
                        limits->body_bytes) < 0) {
        http_answer_refuse(w, c, 413, "the body is too large", NULL);
        return;
    }
    conn_deadline(w, c, limits->request_seconds);
    /* RFC 9110 §10.1.1: not needed when the client did not wait. */
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (s->head.expect_continue && cur->len == 0 &&
        http_answer_queue(w, c, go_on, sizeof(go_on) - 1) < 0)
        return; /* the connection is dead: the caller looks */
}

static void head_whole(struct worker *w, struct conn *c, struct http_cursor *cur)
{
    struct http_session *s = c->http;
    if (++c->request_serial == 0)
        c->request_serial = 1;
    s->serial = c->request_serial;
    s->state = HTTP_BODY_WANTED;
    s->have_head = true;
    /* A proxy may take the request for the beginning of a tunnel, and let bytes of its client pass
     * unseen behind it. When there is none, nothing that follows is a request. */
    s->close = !s->head.keep_alive || s->head.names_websocket;
    s->body_unread = s->head.chunked || s->head.content_length > 0;
    if (!http_host_check(w, c) || !http_route_find(w, c) || !http_host_check_route(w, c))
        return;
    if (w->site->routes[s->match.target].kind != SITE_WEBSOCKET)
        begin_body(w, c, cur);
    else if (http_upgrade_begin(w, c, cur))
        to_script(w, c, EVENT_UPGRADE);
}

/* ---- input ---- */

/* A head is parsed where it lies and copied when it is whole, or when the input ends inside it. */
static void read_head(struct worker *w, struct conn *c, struct http_cursor *cur)
{
    struct http_session *s = c->http;
    const struct limits *l = &w->site->limits;
    const struct http_head_limits limits = {l->target_bytes, l->head_bytes, l->header_count};
    size_t before = s->in.len;
    const char *data = cur->data;
    size_t len = cur->len;
    if (before > 0) {
        if (buffer_append(&s->in, cur->data, cur->len) < 0) {
            conn_kill(w, c);
            return;
        }
        data = (const char *)s->in.data;
        len = s->in.len;
    }
    int status = http_head_parse(&s->parser, data, len, &limits, &s->head);
    if (status < 0) {
        http_answer_refuse(w, c, s->parser.status, s->parser.why, NULL);
        return;
    }
    size_t used = (status > 0 ? s->head.len : len) - before;
    if (before > 0) {
        s->in.len = before + used;
    } else if (buffer_append(&s->in, cur->data, used) < 0) {
        conn_kill(w, c);
        return;
    }
    cur->data += used;
    cur->len -= used;
    if (status > 0)
        head_whole(w, c, cur);
    else if (before == 0 && c->request_serial > 0) /* the first began when it was accepted */
        conn_deadline(w, c, l->handshake_seconds);
}

static void read_body(struct worker *w, struct conn *c, struct http_cursor *cur)
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
        http_answer_refuse(w, c, 413, "the body is too large", NULL);
    } else if (status < 0) {
        http_answer_refuse(w, c, 400, s->body_reader.why, NULL);
    }
}

/* Uses up input until it ends, an answer is waited for, or the peer does not take its answers. */
static void run(struct worker *w, struct conn *c, struct http_cursor *cur)
{
    while (http_session_live(c) && cur->len > 0) {
        enum http_state state = (enum http_state)c->http->state;
        if (state == HTTP_HEAD_WANTED && c->out.queued <= OUTPUT_BOUND)
            read_head(w, c, cur);
        else if (state == HTTP_BODY_WANTED)
            read_body(w, c, cur);
        else
            return;
    }
}

/* A request that comes and goes whole is nothing to count. */
static void account(struct worker *w, struct conn *c)
{
    if (c->held > 0 || (http_session_live(c) && http_session_memory(c) > ACCOUNTED_BYTES))
        conn_account(w, c);
}

static void on_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    struct http_session *s = http_session_get(w, c);
    if (!s) {
        conn_kill(w, c);
        return;
    }
    struct http_cursor cur = {(const char *)data, len};
    if (http_session_held(s) == 0)
        run(w, c, &cur);
    if (cur.len > 0 && http_session_live(c) && c->http->state != HTTP_ENDED)
        http_session_hold_back(w, c, cur.data, cur.len);
    account(w, c);
}

static void on_resume(struct worker *w, struct conn *c)
{
    if (!http_session_live(c))
        return;
    struct http_session *s = c->http;
    struct http_cursor cur = http_session_input(s);
    run(w, c, &cur);
    if (!http_session_live(c) || s->state == HTTP_ENDED)
        return;
    s->held_at = s->held.len - cur.len;
    account(w, c);
    if (http_session_held(s) < w->site->limits.head_bytes)
        http_session_read_on(w, c);
    if (c->peer_ended && http_session_held(s) == 0 && s->state != HTTP_ANSWERING)
        http_answer_last(w, c);
}

static void on_eof(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (!s) {
        conn_linger(w, c);
        return;
    }
    /* A peer may end its side and still wait for answers. An incomplete request gets none. */
    if (s->state == HTTP_ANSWERING)
        conn_deadline(w, c, GONE_SECONDS);
    if (s->state == HTTP_BODY_WANTED || (s->state == HTTP_HEAD_WANTED && http_session_held(s) == 0))
        http_answer_last(w, c);
}

/* The peer has ended its side, and the script takes its time. A WebSocket is of no use to it any
 * more. Another answer it may still read (RFC 9293 §3.6; RFC 9112 §9.6 takes a half-close for no
 * more than that), unless it has reset the connection. We ask, since nothing is left to be read:
 * the loop does not tell. */
static void still_there(struct worker *w, struct conn *c)
{
    if (c->http->upgrading || transport_is_lost(&c->transport))
        conn_kill(w, c); /* EVENT_ABORT */
    else
        conn_deadline(w, c, GONE_SECONDS);
}

static void on_expired(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    bool begun = s && s->state == HTTP_HEAD_WANTED && s->in.len > 0;
    if (s && s->state == HTTP_ANSWERING) {
        still_there(w, c);
        return;
    }
    if (s && s->state == HTTP_BODY_WANTED) {
        http_answer_refuse(w, c, 408, "the body did not come in time", NULL);
        return;
    }
    if (s && c->out.queued > 0 && !begun) {
        http_answer_expired(w, c);
        return;
    }
    if (begun || c->request_serial == 0)
        count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    if (begun)
        http_answer_refuse(w, c, 408, "the request did not come in time", NULL);
    else
        conn_linger(w, c); /* nothing to say to who said nothing (RFC 9112 §9.5) */
}

/* The next pipelined request may be read, an idle connection gives its session back, and one whose
 * last answer this was lingers. */
static void on_emptied(struct worker *w, struct conn *c, bool was_refused)
{
    (void)was_refused;
    http_answer_taken(w, c);
}

static void on_drain(struct worker *w, struct conn *c)
{
    if (c->http && c->http->state == HTTP_ANSWERING)
        c->http->close = true; /* the answer is still given */
    else if (!c->http && c->out.queued == 0)
        conn_kill(w, c); /* idle: nobody waits for anything */
    else
        conn_linger(w, c);
}

/* The script is told of a request that it has not answered. */
static void on_ended(struct worker *w, struct conn *c)
{
    if (c->http && c->http->state == HTTP_ANSWERING)
        (void)request_event(w, c, EVENT_ABORT);
}

/* The process has no memory for it (conn_relief.h). */
static void on_fail(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    (void)code;
    worker_log_peer(w, LOG_WARN, &c->peer, "%s: closed", why);
    struct http_session *s = c->http;
    if (!s || (s->state != HTTP_HEAD_WANTED && s->state != HTTP_BODY_WANTED)) {
        conn_kill(w, c);
        return;
    }
    buffer_deinit(&s->body);
    buffer_deinit(&s->held);
    s->held_at = 0;
    s->close = true;
    http_answer_refuse(w, c, 503, why, NULL);
}

const struct conn_role http_conn_role = {
    .input = on_input,
    .eof = on_eof,
    .expired = on_expired,
    .emptied = on_emptied,
    .resume = on_resume,
    .drain = on_drain,
    .fail = on_fail,
    .ended = on_ended,
    .held = http_session_memory,
    .free = http_session_release,
};

/* ---- the script's answers ---- */

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

struct http_session *http_conn_waiting(const struct conn *c, uint32_t serial)
{
    struct http_session *s = http_session_live(c) ? c->http : NULL;
    return s && s->state == HTTP_ANSWERING && s->serial == serial ? s : NULL;
}

int http_conn_respond(struct worker *w, struct conn *c, uint32_t serial, uint32_t status,
                      const char *headers, size_t headers_len, const char *body, size_t body_len)
{
    struct http_session *s = http_conn_waiting(c, serial);
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
    if (http_answer_head(w, c, &r) < 0)
        return ERR_MEMORY;
    if (s->head.method != HTTP_HEAD && http_answer_queue(w, c, body, body_len) < 0)
        return ERR_MEMORY;
    if (s->upgrading) {
        count(&w->counters, COUNT_REFUSED_HANDSHAKES, 1);
        http_answer_end(w, c);
    } else {
        http_answer_done(w, c);
    }
    return 0;
}

int http_conn_accept(struct worker *w, struct conn *c, uint32_t serial, const char *protocol,
                     size_t protocol_len, const char *headers, size_t headers_len)
{
    if (!http_conn_waiting(c, serial))
        return ERR_CLOSED;
    return http_upgrade_accept(w, c, protocol, protocol_len, headers, headers_len);
}
