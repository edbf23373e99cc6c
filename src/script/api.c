/* The functions of script/api.h: most look up a connection by its handle and call the engine. */
#include "script/api.h"

#include <string.h>

#include "base/complain.h"
#include "engine/client/client_answer.h"
#include "engine/client/client_opening.h"
#include "engine/ground/outbound_flush.h"
#include "engine/ground/site.h"
#include "engine/http/http_conn.h"
#include "engine/reload/reload.h"
#include "engine/server/server.h"
#include "engine/worker/input.h"
#include "engine/worker/timers.h"
#include "engine/worker/worker.h"
#include "engine/ws/publish.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_conn.h"
#include "engine/ws/ws_request.h"
#include "protocol/router.h"
#include "protocol/utf8.h"
#include "script/script.h"

_Static_assert((uint32_t)MW_NO_ROUTE == (uint32_t)CLIENT_ROUTE, "one number for no route");

/* ---- events ---------------------------------------------------------------------------------- */

struct event_batch *mw_batch(struct worker *w)
{
    return &w->given;
}

void mw_string_begin(struct worker *w, const char *data, uint32_t len)
{
    script_string_begin(w->script, data, len);
}

void mw_string_end(struct worker *w)
{
    script_string_end(w->script);
}

/* ---- requests -------------------------------------------------------------------------------- */

const struct request *mw_request_get(struct worker *w, double conn, uint32_t serial)
{
    const struct conn *c = conn_get(w, conn);
    struct http_session *s = c ? http_conn_waiting(c, serial) : NULL;
    if (!s)
        return NULL;
    s->view = (struct request){
        .head = &s->head,
        .base = (const char *)s->in.data,
        .body = (const char *)s->body.data,
        .body_len = (uint32_t)s->body.len,
        .route = s->match.target,
        .param_count = s->match.param_count,
        .secure = c->secure,
    };
    memcpy(s->view.params, s->match.params, sizeof(s->view.params));
    return &s->view;
}

int mw_respond(struct worker *w, double conn, uint32_t serial, uint32_t status, const char *headers,
               size_t headers_len, const char *body, size_t body_len)
{
    struct conn *c = conn_get(w, conn);
    return c ? http_conn_respond(w, c, serial, status, headers, headers_len, body, body_len)
             : ERR_CLOSED;
}

int mw_upgrade_accept(struct worker *w, double conn, uint32_t serial, const char *protocol,
                      size_t protocol_len, const char *headers, size_t headers_len)
{
    struct conn *c = conn_get(w, conn);
    return c ? http_conn_accept(w, c, serial, protocol, protocol_len, headers, headers_len)
             : ERR_CLOSED;
}

/* ---- WebSockets ------------------------------------------------------------------------------ */

static bool is_utf8(const char *data, size_t len)
{
    struct utf8 u = {0};
    return utf8_check(&u, (const uint8_t *)data, len) == 0 && utf8_complete(&u);
}

int mw_send(struct worker *w, double conn, const char *data, size_t len, int kind)
{
    struct conn *c = conn_get(w, conn);
    if (!c)
        return ERR_CLOSED;
    if (kind == MW_MESSAGE_TEXT && !is_utf8(data, len))
        return ERR_UTF8;
    return ws_conn_send(w, c, (const uint8_t *)data, len, kind == MW_MESSAGE_BINARY);
}

int mw_close(struct worker *w, double conn, int code, const char *reason, size_t reason_len)
{
    struct conn *c = conn_get(w, conn);
    if (!is_utf8(reason, reason_len)) /* RFC 6455 §5.5.1 */
        return ERR_UTF8;
    if (!c)
        return ERR_CLOSED;
    if (c->state == CONN_CONNECT || c->state == CONN_ANSWER) { /* WHATWG: it fails */
        client_fail(w, c, "it was closed before it was open");
        return 0;
    }
    return ws_conn_close(w, c, (uint16_t)code, reason, reason_len);
}

int mw_terminate(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return ERR_CLOSED;
    conn_kill(w, c);
    return 0;
}

int mw_ping(struct worker *w, double conn, const char *data, size_t len)
{
    struct conn *c = conn_get(w, conn);
    return c ? ws_conn_ping(w, c, (const uint8_t *)data, len) : ERR_CLOSED;
}

int mw_ready_state(struct worker *w, double conn)
{
    const struct conn *c = conn_get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return 3;
    if (c->state < CONN_OPEN)
        return 0;
    return c->state == CONN_OPEN ? 1 : 2;
}

double mw_buffered_amount(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    return c ? (double)outbound_payload(&c->out, &c->transport) : 0;
}

void mw_flush(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (c)
        conn_flush(w, c);
}

void mw_close_met(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (c)
        ws_conn_resume(w, c);
}

void mw_inbox(struct worker *w, double conn, double bytes)
{
    struct conn *c = conn_get(w, conn);
    if (c)
        ws_conn_note_inbox(w, c, bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX);
}

int mw_pause(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (!c || c->state != CONN_OPEN)
        return ERR_CLOSED;
    conn_pause(w, c, true);
    return 0;
}

int mw_resume(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return ERR_CLOSED;
    conn_pause(w, c, false);
    return 0;
}

/* ---- texts of the opening handshake ---------------------------------------------------------- */

static int address_text(struct worker *w, const struct conn *c, struct ws_request_text *out)
{
    if (buffer_reserve(&w->scratch, ADDRESS_TEXT_BYTES) < 0)
        return ERR_MEMORY;
    out->data = address_format(&c->peer, (char *)w->scratch.data);
    out->len = strlen(out->data);
    return 0;
}

/* The text stays in scratch, which is empty nevertheless: the next user overwrites it. */
static int headers_text(struct worker *w, const struct ws_request_text parts[2],
                        struct ws_request_text *out)
{
    struct buffer *b = &w->scratch;
    int err = buffer_append(b, parts[0].data, parts[0].len);
    if (!err)
        err = buffer_append(b, parts[1].data, parts[1].len);
    *out = (struct ws_request_text){(const char *)b->data, b->len};
    b->len = 0;
    return err;
}

static int find_text(struct worker *w, const struct conn *c, enum mw_text which,
                     struct ws_request_text *out)
{
    struct ws_request_texts kept;
    if (which == MW_TEXT_REMOTE_ADDRESS)
        return address_text(w, c, out);
    if (!c->request)
        return ERR_CLOSED;
    ws_request_texts(c->request, &kept);
    switch (which) {
    case MW_TEXT_PROTOCOL:
        *out = kept.protocol;
        return 0;
    case MW_TEXT_EXTENSIONS:
        *out = kept.extensions;
        return 0;
    case MW_TEXT_URL:
        *out = kept.url;
        return 0;
    case MW_TEXT_PATH:
        *out = kept.path;
        return 0;
    case MW_TEXT_QUERY:
        *out = kept.query;
        return 0;
    default:
        return headers_text(w, kept.headers, out);
    }
}

int mw_text(struct worker *w, double conn, int which, const char **out, size_t *len)
{
    const struct conn *c = conn_get(w, conn);
    struct ws_request_text text;
    int err = c ? find_text(w, c, (enum mw_text)which, &text) : ERR_CLOSED;
    if (err)
        return err;
    *out = text.data;
    *len = text.len;
    return 0;
}

int mw_param(struct worker *w, double conn, uint32_t i, const char **out, size_t *len)
{
    const struct conn *c = conn_get(w, conn);
    if (!c || !c->request)
        return ERR_CLOSED;
    if (c->client)
        return ERR_NOT_FOUND;
    struct ws_request_texts kept;
    struct router_match match;
    ws_request_texts(c->request, &kept);
    /* Not by the router: in a newer site another route may match this path too. */
    const char *pattern = w->site->routes[c->route].pattern;
    router_params(pattern, strlen(pattern), kept.path.data, kept.path.len, &match);
    if (i >= match.param_count)
        return ERR_NOT_FOUND;
    *out = kept.path.data + match.params[i].at;
    *len = match.params[i].len;
    return 0;
}

/* ---- connections that the script opens ------------------------------------------------------- */

void mw_connect_failed(struct worker *w, double conn, const char *text, size_t len, bool heard)
{
    const struct conn *c = conn_get(w, conn);
    if (c)
        client_log_failure(w, c, heard ? LOG_DEBUG : LOG_WARN, text, len);
}

/* ---- topics ---------------------------------------------------------------------------------- */

int mw_subscribe(struct worker *w, double conn, const char *topic, size_t len)
{
    struct conn *c = conn_get(w, conn);
    return c ? topics_subscribe(w, c, topic, len) : ERR_CLOSED;
}

int mw_unsubscribe(struct worker *w, double conn, const char *topic, size_t len)
{
    struct conn *c = conn_get(w, conn);
    return c ? topics_unsubscribe(w, c, topic, len) : ERR_CLOSED;
}

void mw_leave(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (c)
        topics_unsubscribe_all(w, c);
}

int mw_publish(struct worker *w, double except, const char *topic, size_t topic_len,
               const char *data, size_t len, int kind)
{
    if (kind == MW_MESSAGE_TEXT && !is_utf8(data, len))
        return ERR_UTF8;
    struct conn *c = except != 0 ? conn_get(w, except) : NULL;
    return publish(w, c, topic, topic_len, (const uint8_t *)data, len, kind == MW_MESSAGE_BINARY);
}

int mw_subscribers(struct worker *w, const char *topic, size_t len)
{
    return (int)topics_subscribers(w, topic, len);
}

/* ---- timers, input --------------------------------------------------------------------------- */

double mw_timer_start(struct worker *w, double after_seconds, double every_seconds)
{
    return timers_start(w, after_seconds, every_seconds);
}

int mw_timer_stop(struct worker *w, double id)
{
    return timers_stop(w, id);
}

int mw_input(struct worker *w, int fd)
{
    return input_wait(w, fd);
}

void mw_input_stop(struct worker *w)
{
    input_stop(w);
}

/* ---- log, counters, the process -------------------------------------------------------------- */

void mw_log(struct worker *w, int level, const char *text, size_t len, const char *fields,
            size_t fields_len)
{
    log_text(w->log, (enum log_level)level, text, len, fields, fields_len);
}

const char *mw_counter_name(uint32_t i)
{
    return counter_name(i);
}

double mw_counter(struct worker *w, uint32_t i)
{
    return (double)server_counter(w->server, i);
}

void mw_hook_failed(struct worker *w, uint32_t generation, double cause, const char *place,
                    size_t place_len, const char *text, size_t len)
{
    const struct conn *c = cause > 0 ? conn_get(w, cause) : NULL;
    const struct reload_failure failure = {
        .generation = generation,
        .own = cause == 0,
        .peer = c ? &c->peer : NULL,
        .text = text,
        .len = len,
    };
    worker_log_failure(w, place, place_len, text, len);
    count(&w->counters, COUNT_HOOK_FAILURES, 1);
    if (w->server->reload)
        reload_failed(w->server->reload, &failure);
}

int mw_worker_index(struct worker *w)
{
    return (int)w->index;
}

int mw_worker_count(struct worker *w)
{
    return (int)w->server->worker_count;
}

void mw_stop(struct worker *w)
{
    server_drain(w->server);
}

void mw_exit(struct worker *w, int status)
{
    w->ending = true;
    server_exit(w->server, status & 255);
}

void mw_complain(struct worker *w, const char *why)
{
    complain(&w->server->log, why);
}
