/* The life of a WebSocket: opening, messages, the closing handshake, pings, failures. */
#include "engine/ws/ws_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_output.h"
#include "engine/ws/ws_request.h"
#include "protocol/close_code.h"

/* What is said when the script has had the messages that came before the end, and has answered: the
 * answer to the peer's Close, a Close that names what the peer broke, or nothing where it has ended
 * its side. The script knows already that it is closed. */
struct farewell {
    uint16_t code; /* of the Close; 0: none */
    uint8_t len;
    char reason[];
};

/* NULL: no Close waits for its answer. It lies in the word that libev leaves to its users. */
static struct farewell *farewell_of(const struct conn *c)
{
    return c->io.data;
}

static bool is_open_or_closing(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_CLOSING;
}

/* Nothing more is said, and nothing published comes any more. */
static void linger(struct worker *w, struct conn *c)
{
    conn_linger(w, c);
    topics_unsubscribe_all(w, c);
}

/* Its name in the log. */
static const char *name_of(const struct worker *w, const struct conn *c)
{
    return c->client ? "a client's connection" : w->site->routes[c->route].pattern;
}

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
    assert(c->subscription_count == 0);
    message_reader_deinit(&c->reader);
    ws_request_free(&w->requests, c->request);
    if (c->deflate) {
        deflater_free(c->deflate->deflater);
        free(c->deflate);
    }
    free(c->subscriptions);
    free(farewell_of(c));
}

/* ---- closing --------------------------------------------------------------------------------- */

/* The last event. data must live until the batch is done. */
static void emit_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len, bool clean)
{
    count(&w->counters, COUNT_CLOSED, 1);
    struct event *e = conn_event(w, c, EVENT_CLOSE);
    if (!e)
        return;
    e->code = code;
    e->data = reason;
    e->len = (uint32_t)len;
    e->flag = clean;
}

static int queue_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t n = close_encode(payload, code, reason, len);
    return ws_output_control(w, c, FRAME_CLOSE, payload, n, false);
}

/* §7.1.2: what was published or sent before goes out first. */
static int begin_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    topics_unsubscribe_all(w, c);
    if (c->state != CONN_OPEN || queue_close(w, c, code, reason, len) < 0)
        return ERR_CLOSED; /* what was published before was too much for it */
    c->state = CONN_CLOSING;
    conn_pause(w, c, false); /* a script that waits must not keep the peer's Close from us */
    conn_deadline(w, c, conn_limits(w, c)->close_seconds);
    return 0;
}

int ws_conn_close(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
{
    return begin_close(w, c, code, reason, len);
}

/* One that is not open any more needs no Close. */
void ws_conn_close_gone(struct worker *w, struct conn *c)
{
    static const char why[] = "this address is not served any more";
    (void)begin_close(w, c, CLOSE_SERVICE_RESTART, why, sizeof(why) - 1);
}

/* The Close waits for ws_conn_resume. code 0: so does the end, without a Close. */
static int put_off_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                         size_t len)
{
    struct farewell *f = malloc(sizeof(*f) + len);
    if (!f)
        return ERR_MEMORY;
    f->code = code;
    f->len = (uint8_t)len;
    if (len > 0)
        memcpy(f->reason, reason, len);
    c->io.data = f;
    conn_resume_later(w, c);
    return 0;
}

/* §5.5.1, §7.1.4: both Close frames are there when this one was not the answer to ours. Messages
 * that came in the same turn are not with the script yet: its answers to them, and what it
 * publishes then, go out before ours, as they would had the Close come later. */
static void on_close(struct worker *w, struct conn *c, const struct message *m)
{
    bool answers_first = w->batch.count > 0;
    if (c->state == CONN_OPEN) {
        if (!answers_first)
            topics_unsubscribe_all(w, c);
        if (c->state != CONN_OPEN)
            return;
        if (answers_first &&
            put_off_close(w, c, m->close_code, (const char *)m->data, m->len) < 0) {
            conn_kill(w, c);
            return;
        }
        if (!answers_first && queue_close(w, c, m->close_code, (const char *)m->data, m->len) < 0)
            return;
    }
    c->peer_done = true;
    emit_close(w, c, m->close_code, (const char *)m->data, m->len, true);
    if (!farewell_of(c))
        linger(w, c);
}

void ws_conn_resume(struct worker *w, struct conn *c)
{
    const struct farewell *f = farewell_of(c);
    if (!f)
        return;
    if (c->state == CONN_OPEN) {
        topics_unsubscribe_all(w, c);
        if (c->state != CONN_OPEN || (f->code && queue_close(w, c, f->code, f->reason, f->len) < 0))
            return;
    }
    linger(w, c);
}

static void count_failure(struct worker *w, uint16_t code)
{
    if (code == CLOSE_PROTOCOL_ERROR || code == CLOSE_INVALID_DATA)
        count(&w->counters, COUNT_PROTOCOL_ERRORS, 1);
    else if (code == CLOSE_TOO_BIG)
        count(&w->counters, COUNT_TOO_BIG, 1);
}

/* §7.1.7. The peer's Close is not waited for, so the script's code is 1006, as the WHATWG standard
 * has it. But a server's own limits are no fault of the connection: its script learns the code that
 * the client was told. */
static void emit_failure(struct worker *w, struct conn *c, bool told_peer, uint16_t code,
                         const char *why)
{
    bool limit = code == CLOSE_POLICY || code == CLOSE_TOO_BIG;
    if (told_peer && limit && !c->client)
        emit_close(w, c, code, why, strlen(why), false);
    else
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
}

void ws_conn_fail(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    if (!is_open_or_closing(c))
        return;
    count_failure(w, code);
    bool told = farewell_of(c) != NULL; /* the script knows that it is closed */
    bool was_open = c->state == CONN_OPEN;
    if (was_open) {
        worker_log_peer(w, LOG_WARN, &c->peer, "%s: %s: closed with %u", name_of(w, c), why, code);
        ws_output_tell_failure(w, c, code, why);
        size_t dropped = outbound_drop(&c->out);
        if (dropped)
            count(&w->counters, COUNT_DROPPED_BYTES, dropped);
        if (queue_close(w, c, code, why, strlen(why)) < 0)
            return;
    }
    if (!told)
        emit_failure(w, c, was_open, code, why);
    linger(w, c);
}

/* Fails it like ws_conn_fail, for what the peer has sent. The messages before were right: the
 * script has them first, and nothing of what it says to them, or publishes, is dropped. */
static void fail_behind_answers(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    if (c->state != CONN_OPEN) {
        ws_conn_fail(w, c, code, why); /* our Close is on its way, and no message is delivered */
        return;
    }
    if (put_off_close(w, c, code, why, strlen(why)) < 0) {
        conn_kill(w, c);
        return;
    }
    count_failure(w, code);
    worker_log_peer(w, LOG_WARN, &c->peer, "%s: %s: closed with %u", name_of(w, c), why, code);
    ws_output_tell_failure(w, c, code, why);
    emit_failure(w, c, true, code, why);
}

/* The socket is gone without a closing handshake. */
static void on_ended(struct worker *w, struct conn *c)
{
    if (!farewell_of(c))
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
    topics_unsubscribe_all(w, c);
}

/* RFC 8446 §6.1: the end of our side is said too. */
void ws_conn_eof(struct worker *w, struct conn *c)
{
    if (farewell_of(c))
        return; /* ws_conn_resume ends it */
    /* It may still read the answers to messages that are not with the script yet. */
    bool answers_first =
        c->state == CONN_OPEN && w->batch.count > 0 && put_off_close(w, c, 0, NULL, 0) == 0;
    emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
    if (!answers_first)
        linger(w, c);
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Counts n of what messages_per_second limits: what costs us something, whether or not the script
 * hears of it. False: it was too much, and the connection is failing. */
static bool take_rate(struct worker *w, struct conn *c, uint32_t n)
{
    uint32_t per_second = conn_limits(w, c)->messages_per_second;
    if (per_second == 0 || c->state != CONN_OPEN)
        return true;
    uint32_t second = worker_tick(w) / WORKER_TICKS_PER_SECOND;
    if (second != c->rate_second) {
        c->rate_second = second;
        c->rate_count = 0;
    }
    c->rate_count = n > UINT32_MAX - c->rate_count ? UINT32_MAX : c->rate_count + n;
    if (c->rate_count <= per_second)
        return true;
    count(&w->counters, COUNT_RATE_OVERFLOWS, 1);
    fail_behind_answers(w, c, CLOSE_POLICY, "more messages than messages_per_second allows");
    return false;
}

/* A text or binary message, on its way to the script. */
static void on_message(struct worker *w, struct conn *c, struct message *m)
{
    count(&w->counters, COUNT_MESSAGES_IN, 1);
    if (!take_rate(w, c, 1))
        return;
    bool owned = m->block != NULL;
    if (owned && batch_own(&w->batch, m->block) < 0) {
        conn_kill(w, c);
        return;
    }
    m->block = NULL;
    struct event *e = conn_event(w, c, EVENT_MESSAGE);
    if (!e) {
        conn_kill(w, c);
        return;
    }
    e->code = owned;
    e->data = (const char *)m->data;
    e->len = (uint32_t)m->len;
    e->flag = m->kind == MESSAGE_BINARY;
}

static void on_item(struct worker *w, struct conn *c, struct message *m)
{
    switch (m->kind) {
    case MESSAGE_TEXT:
    case MESSAGE_BINARY:
        if (c->state == CONN_OPEN) /* WHATWG: not delivered while closing */
            on_message(w, c, m);
        break;
    case MESSAGE_PING: /* §5.5.2: also between our Close and the peer's */
        if (is_open_or_closing(c) && take_rate(w, c, 1) &&
            ws_output_control(w, c, FRAME_PONG, m->data, m->len, c->blocked) == ERR_MEMORY)
            conn_kill(w, c);
        break;
    case MESSAGE_CLOSE:
        if (m->block && batch_own(&w->batch, m->block) < 0) { /* the event points into it */
            conn_kill(w, c);
            break;
        }
        m->block = NULL;
        on_close(w, c, m);
        break;
    default: /* a Pong only shows that the peer lives */
        break;
    }
    free(m->block);
}

static struct message_rules rules_of(struct worker *w, const struct conn *c)
{
    const struct limits *limits = conn_limits(w, c);
    struct message_rules rules = {.from_client = !c->client,
                                  .message_bytes = limits->message_bytes,
                                  .inflated_bytes = limits->inflated_bytes};
    if (c->deflate) {
        const struct deflate_params *p = &c->deflate->params;
        rules.compressed = true;
        rules.inflate_context =
            c->client ? !p->server_no_context_takeover : !p->client_no_context_takeover;
        rules.inflate_bits = c->client ? p->server_max_window_bits : p->client_max_window_bits;
        rules.spare = &w->inflater;
    }
    return rules;
}

void ws_conn_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    if (farewell_of(c))
        return; /* §5.5.1: nothing counts after a Close */
    if (c->state == CONN_OPEN) {
        c->ping_sent = false;
        conn_deadline(w, c, conn_limits(w, c)->idle_seconds);
    }
    struct message_rules rules = rules_of(w, c);
    uint32_t empty_fragments = 0;
    rules.empty_fragments = &empty_fragments;
    struct message m;
    const char *why = "";
    int status = 0;
    while (is_open_or_closing(c) && !farewell_of(c) &&
           (status = message_read(&c->reader, &rules, &data, &len, &m, &why)) == 1)
        on_item(w, c, &m);
    if (empty_fragments > 0 && !farewell_of(c))
        (void)take_rate(w, c, empty_fragments);
    if (status < 0 && !farewell_of(c))
        fail_behind_answers(w, c, close_code_for(status), why);
}

static void on_expired(struct worker *w, struct conn *c)
{
    const struct limits *limits = conn_limits(w, c);
    if (c->state == CONN_CLOSING) {
        count(&w->counters, COUNT_CLOSE_TIMEOUTS, 1);
        conn_kill(w, c);
    } else if (c->paused) { /* its silence is ours */
        conn_deadline(w, c, limits->idle_seconds);
    } else if (c->ping_sent) {
        count(&w->counters, COUNT_DEAD_PEERS, 1);
        worker_log_peer(w, LOG_INFO, &c->peer,
                        "%s: no answer to a ping for pong_seconds (%u): given up", name_of(w, c),
                        limits->pong_seconds);
        conn_kill(w, c);
    } else if (ws_conn_ping(w, c, NULL, 0) == 0) {
        c->ping_sent = true;
        conn_deadline(w, c, limits->pong_seconds);
    }
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
        ws_conn_fail(w, c, CLOSE_POLICY, "more output is queued than queued_bytes allows");
        return ERR_LIMIT;
    }
    if (c->subscription_count && w->topics->dirty) /* what was published before comes first */
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
    ws_conn_input(w, c, data, len);
}

static size_t place(struct conn *c, uint8_t **into)
{
    return c->state == CONN_OPEN ? message_space(&c->reader, into) : 0;
}

static void on_placed(struct worker *w, struct conn *c, size_t len)
{
    message_filled(&c->reader, len);
    ws_conn_input(w, c, NULL, 0); /* the reader has the bytes already */
}

static void on_emptied(struct worker *w, struct conn *c, bool was_refused)
{
    if (was_refused && c->state == CONN_OPEN)
        (void)conn_event(w, c, EVENT_DRAIN);
}

static void on_drain(struct worker *w, struct conn *c)
{
    (void)begin_close(w, c, CLOSE_GOING_AWAY, "server is stopping", 18);
}

const struct conn_role ws_conn_role = {
    .input = on_input,
    .place = place,
    .placed = on_placed,
    .eof = ws_conn_eof,
    .expired = on_expired,
    .emptied = on_emptied,
    .resume = ws_conn_resume,
    .drain = on_drain,
    .fail = ws_conn_fail,
    .ended = on_ended,
    .free = free_websocket,
};
