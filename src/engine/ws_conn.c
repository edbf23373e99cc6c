#include "engine/ws_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/client/client.h"
#include "engine/topics.h"
#include "engine/worker.h"
#include "engine/ws_kept.h"
#include "protocol/close_code.h"
#include "protocol/frame.h"
#include "protocol/mask.h"

/* From here on a message is offered to the system at once instead of being copied first. */
enum { DIRECT_BYTES = 16 * 1024 };

/* The peer's Close, while it waits for its answer; else NULL. In the word that libev leaves to its
 * users. */
static struct ws_farewell *farewell_of(const struct conn *c)
{
    return c->io.data;
}

/* What it is called in the log. */
static const char *name_of(const struct worker *w, const struct conn *c)
{
    return c->client ? "a client's connection" : w->site->routes[c->route].pattern;
}

/* ---- opening --------------------------------------------------------------------------------- */

static const struct ws_kept *keep_request(struct worker *w, const struct conn *c,
                                          const struct ws_opening *o)
{
    char extensions[EXTENSION_TEXT_MAX];
    struct ws_kept_source from = {
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
    return ws_kept_new(&w->kept, &w->scratch, &from);
}

int ws_conn_start(struct worker *w, struct conn *c, const struct ws_opening *opening)
{
    const struct deflate_params *deflate = opening->deflate;
    c->kept = keep_request(w, c, opening);
    if (c->kept && deflate->enabled && (c->deflate = calloc(1, sizeof *c->deflate)))
        c->deflate->params = *deflate;
    if (!c->kept || (deflate->enabled && !c->deflate)) {
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

void ws_conn_deinit(struct worker *w, struct conn *c)
{
    message_reader_deinit(&c->reader);
    ws_kept_free(&w->kept, c->kept);
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

/* Unless the script knows already that it is closed. why: static. */
static void tell_failure(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    struct event *e = farewell_of(c) ? NULL : conn_event(w, c, EVENT_ERROR);
    if (!e)
        return;
    e->code = code;
    e->data = why;
    e->len = (uint32_t)strlen(why);
}

/* A client's frame gets its key (§5.3). Without random bytes nothing more is said. */
static int seal(struct worker *w, struct conn *c, struct frame *f)
{
    f->masked = c->client != NULL;
    if (!f->masked || mask_keys_next(&w->mask_keys, f->key) == 0)
        return 0;
    tell_failure(w, c, CLOSE_ABNORMAL,
                 "the system has no random bytes for masking keys (RFC 6455 §5.3)");
    conn_kill(w, c);
    return ERR_CLOSED;
}

/* Writes a sealed frame to out. Returns its length. */
static size_t put_frame(uint8_t *out, const struct frame *f, const uint8_t *payload)
{
    size_t n = frame_encode(out, f);
    if (f->len == 0) /* there may be no payload then */
        return n;
    memcpy(out + n, payload, (size_t)f->len);
    if (f->masked)
        mask_apply(out + n, (size_t)f->len, f->key, 0);
    return n + (size_t)f->len;
}

static int queue_control(struct worker *w, struct conn *c, enum frame_opcode opcode,
                         const uint8_t *payload, size_t len, bool ahead)
{
    uint8_t bytes[FRAME_HEADER_MAX + FRAME_CONTROL_MAX];
    struct frame f = {.opcode = (uint8_t)opcode, .fin = true, .len = len};
    if (seal(w, c, &f) < 0)
        return ERR_CLOSED;
    size_t n = put_frame(bytes, &f, payload);
    if (ahead) {
        int replaced = outbound_control(&c->out, bytes, n);
        if (replaced > 0)
            count(&w->counters, COUNT_DROPPED_PONGS, 1);
        return replaced < 0 ? replaced : 0;
    }
    uint8_t *at = conn_reserve(w, c, n, true);
    if (!at)
        return ERR_CLOSED;
    memcpy(at, bytes, n);
    return 0;
}

static int queue_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t n = close_encode(payload, code, reason, len);
    return queue_control(w, c, FRAME_CLOSE, payload, n, false);
}

/* §7.1.2: what was published or sent before goes out first. */
int ws_conn_close(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
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

/* Keeps the peer's Close until ws_conn_resume. */
static int keep_close(struct worker *w, struct conn *c, const struct message *m)
{
    struct ws_farewell *f = malloc(sizeof *f + m->len);
    if (!f)
        return ERR_MEMORY;
    f->code = m->close_code;
    f->len = (uint8_t)m->len;
    if (m->len > 0)
        memcpy(f->reason, m->data, m->len);
    c->io.data = f;
    conn_resume_later(w, c);
    return 0;
}

/* §5.5.1, §7.1.4: both Close frames are there when this one was not the answer to ours. Messages that
 * came in the same turn are not with the script yet: its answers to them go out before ours, as they
 * would had the Close come later. */
static void on_close(struct worker *w, struct conn *c, const struct message *m)
{
    bool answers_first = w->batch.count > 0;
    if (c->state == CONN_OPEN) {
        topics_unsubscribe_all(w, c);
        if (c->state != CONN_OPEN)
            return;
        if (answers_first && keep_close(w, c, m) < 0) {
            conn_kill(w, c);
            return;
        }
        if (!answers_first && queue_close(w, c, m->close_code, (const char *)m->data, m->len) < 0)
            return;
    }
    c->peer_done = true;
    emit_close(w, c, m->close_code, (const char *)m->data, m->len, true);
    if (!farewell_of(c))
        conn_linger(w, c);
}

void ws_conn_resume(struct worker *w, struct conn *c)
{
    const struct ws_farewell *f = farewell_of(c);
    if (!f || (c->state == CONN_OPEN && queue_close(w, c, f->code, f->reason, f->len) < 0))
        return;
    conn_linger(w, c);
}

static void count_failure(struct worker *w, uint16_t code)
{
    if (code == CLOSE_PROTOCOL_ERROR || code == CLOSE_INVALID_DATA)
        count(&w->counters, COUNT_PROTOCOL_ERRORS, 1);
    else if (code == CLOSE_TOO_BIG)
        count(&w->counters, COUNT_TOO_BIG, 1);
}

/* §7.1.7. The peer's Close is not waited for, so the code is 1006, as the WHATWG standard has it. */
void ws_conn_fail(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    if (c->state != CONN_OPEN && c->state != CONN_CLOSING)
        return;
    count_failure(w, code);
    bool told = farewell_of(c) != NULL; /* the script knows that it is closed */
    if (c->state == CONN_OPEN) {
        worker_log_peer(w, LOG_WARN, c, "%s: %s: closed with %u", name_of(w, c), why, code);
        tell_failure(w, c, code, why);
        size_t dropped = outbound_drop(&c->out);
        if (dropped)
            count(&w->counters, COUNT_DROPPED_BYTES, dropped);
        if (queue_close(w, c, code, why, strlen(why)) < 0)
            return;
    }
    if (!told)
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
    conn_linger(w, c);
}

void ws_conn_lost(struct worker *w, struct conn *c)
{
    if (!farewell_of(c))
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
}

/* RFC 8446 §6.1: the end of our side is said too. */
void ws_conn_eof(struct worker *w, struct conn *c)
{
    if (farewell_of(c))
        return; /* ws_conn_resume ends it */
    emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
    conn_linger(w, c);
}

/* ---- input ----------------------------------------------------------------------------------- */

static bool over_rate(struct worker *w, struct conn *c, uint32_t per_second)
{
    uint32_t second = worker_tick(w) / WORKER_TICKS_PER_SECOND;
    if (second != c->rate_second) {
        c->rate_second = second;
        c->rate_count = 0;
    }
    return ++c->rate_count > per_second;
}

/* A text or binary message, on its way to the script. */
static void on_message(struct worker *w, struct conn *c, struct message *m)
{
    const struct limits *limits = conn_limits(w, c);
    count(&w->counters, COUNT_MESSAGES_IN, 1);
    if (limits->messages_per_second && over_rate(w, c, limits->messages_per_second)) {
        count(&w->counters, COUNT_RATE_OVERFLOWS, 1);
        ws_conn_fail(w, c, CLOSE_POLICY, "more messages than messages_per_second allows");
        return;
    }
    struct event *e = conn_event(w, c, EVENT_MESSAGE);
    if (!e || (m->block && batch_own(&w->batch, m->block) < 0)) {
        if (e)
            w->batch.count--;
        conn_kill(w, c);
        return;
    }
    e->code = m->block != NULL;
    m->block = NULL;
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
        if ((c->state == CONN_OPEN || c->state == CONN_CLOSING) &&
            queue_control(w, c, FRAME_PONG, m->data, m->len, c->blocked) == ERR_MEMORY)
            conn_kill(w, c);
        break;
    case MESSAGE_CLOSE:
        if (m->block && batch_own(&w->batch, m->block) == 0)
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
    struct message m;
    const char *why = "";
    int status = 0;
    while ((c->state == CONN_OPEN || c->state == CONN_CLOSING) && !farewell_of(c) &&
           (status = message_read(&c->reader, &rules, &data, &len, &m, &why)) == 1)
        on_item(w, c, &m);
    if (status < 0)
        ws_conn_fail(w, c, close_code_for(status), why);
}

void ws_conn_expired(struct worker *w, struct conn *c)
{
    const struct limits *limits = conn_limits(w, c);
    if (c->state == CONN_CLOSING) {
        count(&w->counters, COUNT_CLOSE_TIMEOUTS, 1);
        conn_kill(w, c);
    } else if (c->paused) { /* its silence is ours */
        conn_deadline(w, c, limits->idle_seconds);
    } else if (c->ping_sent) {
        count(&w->counters, COUNT_DEAD_PEERS, 1);
        worker_log_peer(w, LOG_INFO, c, "%s: no answer to a ping for pong_seconds (%u): given up",
                        name_of(w, c), limits->pong_seconds);
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
    return queue_control(w, c, FRAME_PING, data, len, c->blocked);
}

uint8_t ws_conn_window_bits(const struct conn *c)
{
    const struct deflate_params *p = &c->deflate->params;
    return c->client ? p->client_max_window_bits : p->server_max_window_bits;
}

const struct deflate_options *ws_conn_deflate(const struct worker *w, const struct conn *c)
{
    return c->client ? &c->client->deflate : &w->site->routes[c->route].deflate;
}

/* With what the peer's window holds of the messages before. */
static int compress_on(struct worker *w, struct conn *c, const struct deflate_options *o,
                       const uint8_t *data, size_t len)
{
    struct ws_deflate *d = c->deflate;
    if (d->deflater && (d->level != o->level || d->memory_level != o->memory_level)) {
        deflater_free(
            d->deflater); /* another site serves: begin an empty window, with its options */
        d->deflater = NULL;
    }
    if (!d->deflater) {
        d->deflater = deflater_new(ws_conn_window_bits(c), o->level, o->memory_level);
        d->level = o->level;
        d->memory_level = o->memory_level;
    }
    if (!d->deflater || deflater_message(d->deflater, data, len, !d->fresh, &w->scratch) < 0)
        return ERR_MEMORY;
    d->fresh = false;
    return 0;
}

/* Compresses into w->scratch. 1: done; 0: the message goes as it is; or ERR_MEMORY. */
static int compress(struct worker *w, struct conn *c, const uint8_t *data, size_t len)
{
    const struct deflate_params *p = c->deflate ? &c->deflate->params : NULL;
    const struct deflate_options *o = p ? ws_conn_deflate(w, c) : NULL;
    if (!p || !o->enabled || len < o->min_bytes)
        return 0;
    bool each_alone = c->client ? p->client_no_context_takeover : p->server_no_context_takeover;
    w->scratch.len = 0;
    int status = each_alone ? deflaters_message(&w->deflaters, ws_conn_window_bits(c), o->level,
                                                o->memory_level, data, len, &w->scratch)
                            : compress_on(w, c, o, data, len);
    return status < 0 ? status : 1;
}

/* Of the next three, message_len is the length before compression. */
static int send_direct(struct worker *w, struct conn *c, const struct frame *f, const uint8_t *data,
                       size_t message_len)
{
    uint8_t header[FRAME_HEADER_MAX];
    const struct outbound_frame out = {.header = header,
                                       .header_len = frame_encode(header, f),
                                       .payload = data,
                                       .payload_len = (size_t)f->len,
                                       .message_len = message_len};
    int status = outbound_flush_with(&c->out, &c->transport, &out);
    if (status == 0 && !c->drain_event)
        return 0;
    conn_flushed(w, c, status);
    return c->state == CONN_DEAD ? ERR_CLOSED : 0;
}

static int queue_frame(struct worker *w, struct conn *c, const struct frame *f, const uint8_t *data,
                       size_t message_len)
{
    uint8_t *at = conn_reserve(w, c, frame_header_bytes(f) + (size_t)f->len, true);
    if (!at)
        return ERR_CLOSED;
    (void)put_frame(at, f, data);
    outbound_counts(&c->out, message_len, f->rsv1);
    return 0;
}

/* What is masked must be copied first, but a large message is then offered to the system at once too,
 * so that queued_bytes counts only what it did not take. */
static int send_masked(struct worker *w, struct conn *c, struct frame *f, const uint8_t *data,
                       size_t message_len)
{
    if (seal(w, c, f) < 0 || queue_frame(w, c, f, data, message_len) < 0)
        return ERR_CLOSED;
    if (f->len >= DIRECT_BYTES && !c->blocked)
        conn_flush(w, c);
    return c->state == CONN_DEAD ? ERR_CLOSED : 0;
}

static int send_frame(struct worker *w, struct conn *c, struct frame *f, const uint8_t *data,
                      size_t message_len)
{
    if (c->client)
        return send_masked(w, c, f, data, message_len);
    if (f->len >= DIRECT_BYTES && !c->blocked)
        return send_direct(w, c, f, data, message_len);
    return queue_frame(w, c, f, data, message_len);
}

int ws_conn_masked(struct worker *w, struct conn *c, const uint8_t *frames, size_t len,
                   size_t payload)
{
    struct frame f;
    size_t encoded = 0;
    for (size_t i = 0; i < len; i += (size_t)f.len) {
        int n = frame_decode(&f, frames + i, len - i);
        if (n <= 0)
            return ERR_PROTOCOL;
        i += (size_t)n;
        encoded += (size_t)f.len;
    }
    while (len > 0) {
        int n = frame_decode(&f, frames, len);
        if (n <= 0)
            return ERR_PROTOCOL;
        size_t share = (size_t)f.len; /* of compressed ones, as much as of the bytes */
        if (encoded != payload)
            share = (size_t)((double)payload * (double)f.len / (double)encoded);
        if (seal(w, c, &f) < 0 || queue_frame(w, c, &f, frames + n, share) < 0)
            return ERR_CLOSED;
        frames += (size_t)n + f.len;
        len -= (size_t)n + f.len;
    }
    return 0;
}

/* What most messages are: short, and neither masked nor compressed. */
static int send_short(struct worker *w, struct conn *c, const uint8_t *data, size_t len,
                      enum frame_opcode opcode)
{
    uint8_t *at = conn_reserve(w, c, FRAME_SHORT_HEADER + len, true);
    if (!at)
        return ERR_CLOSED;
    frame_encode_short(at, opcode, len);
    if (len > 0)
        memcpy(at + FRAME_SHORT_HEADER, data, len);
    outbound_counts(&c->out, len, false);
    return 0;
}

/* Any other. Not inlined, so that short ones need not save the registers that it uses. */
__attribute__((noinline)) static int send_long(struct worker *w, struct conn *c,
                                               const uint8_t *data, size_t len,
                                               enum frame_opcode opcode)
{
    struct frame f = {.opcode = (uint8_t)opcode, .fin = true, .len = len};
    int compressed = compress(w, c, data, len);
    if (compressed < 0)
        return compressed;
    if (compressed) {
        f.rsv1 = true;
        f.len = w->scratch.len;
        data = w->scratch.data;
    }
    int status = send_frame(w, c, &f, data, len);
    w->scratch.len = 0;
    return status;
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
    if (c->subscription_count && w->topics.dirty) /* what was published before comes first */
        topics_drain(w);
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    enum frame_opcode opcode = binary ? FRAME_BINARY : FRAME_TEXT;
    bool is_short = len <= FRAME_SHORT_MAX && !c->client && !c->deflate;
    int status =
        is_short ? send_short(w, c, data, len, opcode) : send_long(w, c, data, len, opcode);
    if (status < 0)
        return status;
    count(&w->counters, COUNT_MESSAGES_OUT, 1);
    return c->blocked;
}
