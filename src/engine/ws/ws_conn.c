/* The life of a WebSocket: opening, sending, pings, and what the socket does. */
#include "engine/ws/ws_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_aside.h"
#include "engine/ws/ws_close.h"
#include "engine/ws/ws_input.h"
#include "engine/ws/ws_output.h"
#include "engine/ws/ws_request.h"
#include "protocol/close_code.h"

/* ---- opening --------------------------------------------------------------------------------- */

static const struct ws_request *store_request(struct worker *w, const struct conn *c,
                                              const struct ws_opening *o)
{
    char extensions[EXTENSION_TEXT_MAX];
    struct ws_request_source from = {
        .generation = w->site->generation,
        .protocol = o->protocol,
        .extensions = extensions,
        .extensions_len = o->deflate->enabled ? extension_response(extensions, o->deflate) : 0,
        .secure = c->secure,
        .authority = o->authority,
        .authority_len = o->authority_len,
        .path = o->path,
        .path_len = o->path_len,
        .query = o->query,
        .query_len = o->query_len,
        .head = o->head,
        .base = o->base,
    };
    return ws_request_new(&w->requests, &w->scratch, &from);
}

int ws_conn_start(struct worker *w, struct conn *c, const struct ws_opening *opening)
{
    const struct deflate_params *deflate = opening->deflate;
    c->request = store_request(w, c, opening);
    if (c->request && deflate->enabled && (c->deflate = calloc(1, sizeof(*c->deflate))))
        c->deflate->params = *deflate;
    if (!c->request || (deflate->enabled && !c->deflate)) {
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    c->route = opening->route;
    c->rate_second = 0;
    c->state = CONN_OPEN;
    c->paused = false;
    conn_deadline(w, c, conn_limits(w, c)->idle_seconds);
    count(&w->counters, COUNT_OPENED, 1);
    if (!conn_event(w, c, EVENT_OPEN)) {
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    conn_watch(w, c);
    return 0;
}

static void free_websocket(struct worker *w, struct conn *c)
{
    assert(!c->subscriptions);
    message_reader_deinit(&c->reader);
    ws_request_free(&w->requests, c->request);
    if (c->deflate) {
        deflater_free(c->deflate->deflater);
        free(c->deflate);
    }
    ws_aside_free(c);
}

/* ---- closing --------------------------------------------------------------------------------- */

int ws_conn_close(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
{
    return ws_close_begin(w, c, code, reason, len);
}

/* One that is not open any more needs no Close. */
void ws_conn_close_gone(struct worker *w, struct conn *c)
{
    static const char why[] = "this address is not served any more";
    if (ws_close_begin(w, c, CLOSE_SERVICE_RESTART, why, sizeof(why) - 1) < 0)
        return;
}

void ws_conn_resume(struct worker *w, struct conn *c)
{
    ws_close_finish(w, c);
}

/* The socket is gone without a closing handshake. */
static void on_ended(struct worker *w, struct conn *c)
{
    ws_close_tell_lost(w, c);
    topics_unsubscribe_all(w, c);
}

/* RFC 8446 §6.1: the end of our side is said too. */
void ws_conn_eof(struct worker *w, struct conn *c)
{
    if (ws_aside_farewell(c) || c->input_full)
        return; /* on_resume ends it */
    ws_close_eof(w, c);
}

static void on_expired(struct worker *w, struct conn *c)
{
    const struct limits *limits = conn_limits(w, c);
    if (c->state == CONN_CLOSING) {
        count(&w->counters, COUNT_CLOSE_TIMEOUTS, 1);
        conn_kill(w, c);
    } else if (c->paused) { /* its silence is ours */
        ws_input_forgive(c);
        conn_deadline(w, c, limits->idle_seconds);
    } else if (ws_input_is_late(w, c)) {
        count(&w->counters, COUNT_MESSAGE_TIMEOUTS, 1);
        ws_close_fail(w, c, CLOSE_POLICY, "a message took longer than message_seconds allows");
    } else if (c->ping_sent) {
        count(&w->counters, COUNT_DEAD_PEERS, 1);
        worker_log_peer(w, LOG_INFO, &c->peer,
                        "%s: no answer to a ping for pong_seconds (%u): given up",
                        ws_close_name_of(w, c), limits->pong_seconds);
        conn_kill(w, c);
    } else if (ws_conn_ping(w, c, NULL, 0) == 0) {
        c->ping_sent = true;
        ws_input_deadline(w, c, limits->pong_seconds);
    }
}

void ws_conn_note_inbox(struct worker *w, struct conn *c, uint32_t bytes)
{
    if (c->state != CONN_OPEN && c->state != CONN_CLOSING)
        return;
    ws_aside_note_inbox(c, bytes);
    conn_account(w, c);
}

/* ---- output ---------------------------------------------------------------------------------- */

int ws_conn_ping(struct worker *w, struct conn *c, const uint8_t *data, size_t len)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    if (len > FRAME_CONTROL_MAX)
        return ERR_TOO_BIG;
    return ws_output_control(w, c, FRAME_PING, data, len, c->blocked);
}

int ws_conn_send(struct worker *w, struct conn *c, const uint8_t *data, size_t len, bool binary)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    if (c->out.queued > conn_limits(w, c)->queued_bytes) {
        count(&w->counters, COUNT_QUEUE_OVERFLOWS, 1);
        ws_close_fail(w, c, CLOSE_POLICY, "more output is queued than queued_bytes allows");
        return ERR_LIMIT;
    }
    if (c->subscriptions && w->topics->dirty) /* what was published before comes first */
        topics_hand_out(w);
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    int err = ws_output_message(w, c, data, len, binary ? FRAME_BINARY : FRAME_TEXT);
    if (err)
        return err;
    count(&w->counters, COUNT_MESSAGES_OUT, 1);
    return c->blocked;
}

/* ---- the role -------------------------------------------------------------------------------- */

static void on_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    w->in.used += len; /* the events point at it until the batch is done */
    ws_input(w, c, data, len);
}

/* The script has had what came in this turn. */
static void on_resume(struct worker *w, struct conn *c)
{
    if (ws_aside_farewell(c)) {
        ws_close_finish(w, c);
        return;
    }
    ws_input_resume(w, c);
    if (c->peer_ended && !c->input_full && (c->state == CONN_OPEN || c->state == CONN_CLOSING))
        ws_conn_eof(w, c);
}

/* A large message may take memory here: its bytes are told next, and then it is counted. */
static size_t place(struct conn *c, uint8_t **into)
{
    return c->state == CONN_OPEN ? message_space(&c->reader, into) : 0;
}

static size_t held(const struct conn *c)
{
    size_t bytes = message_held(&c->reader) + message_window_held(&c->reader) + ws_aside_memory(c);
    if (c->deflate && c->deflate->deflater)
        bytes += deflater_memory(ws_output_window_bits(c), c->deflate->memory_level);
    return bytes;
}

static void on_placed(struct worker *w, struct conn *c, size_t len)
{
    message_filled(&c->reader, len);
    ws_input(w, c, NULL, 0); /* the reader has the bytes already */
}

static void on_emptied(struct worker *w, struct conn *c, bool was_refused)
{
    if (was_refused && c->state == CONN_OPEN)
        (void)conn_event(w, c, EVENT_DRAIN);
}

static void on_drain(struct worker *w, struct conn *c)
{
    if (ws_close_begin(w, c, CLOSE_GOING_AWAY, "server is stopping", 18) < 0)
        return; /* its end is near */
}

const struct conn_role ws_conn_role = {
    .input = on_input,
    .place = place,
    .placed = on_placed,
    .eof = ws_conn_eof,
    .expired = on_expired,
    .emptied = on_emptied,
    .resume = on_resume,
    .drain = on_drain,
    .fail = ws_close_fail,
    .ended = on_ended,
    .held = held,
    .free = free_websocket,
};
