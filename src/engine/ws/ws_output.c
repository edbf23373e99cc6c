/* From messages to frames in a connection's queue: masks, compression, the direct way for large
 * ones. */
#include "engine/ws/ws_output.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/ground/outbound_flush.h"
#include "protocol/close_code.h"
#include "protocol/mask.h"

/* From here on a message is offered to the system at once instead of being copied first. */
enum { DIRECT_BYTES = 16 * 1024 };

void ws_output_tell_failure(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    struct event *e = c->peer_done ? NULL : conn_event(w, c, EVENT_ERROR);
    if (!e)
        return;
    e->code = code;
    e->data = why;
    e->len = (uint32_t)strlen(why);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A client's frame gets its key (§5.3). Without random bytes nothing more can be said: the
 * connection is killed, and this returns ERR_CLOSED. */
static int seal(struct worker *w, struct conn *c, struct frame *f)
{
    f->masked = c->client != NULL;
    if (!f->masked || mask_keys_next(&w->mask_keys, f->key) == 0)
        return 0;
    ws_output_tell_failure(w, c, CLOSE_ABNORMAL,
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

int ws_output_control(struct worker *w, struct conn *c, enum frame_opcode opcode,
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

/* ---- compression ----------------------------------------------------------------------------- */

uint8_t ws_output_window_bits(const struct conn *c)
{
    const struct deflate_params *p = &c->deflate->params;
    return c->client ? p->client_max_window_bits : p->server_max_window_bits;
}

const struct deflate_options *ws_output_deflate(const struct worker *w, const struct conn *c)
{
    return c->client ? &c->client->deflate : &w->site->routes[c->route].deflate;
}

/* Compresses with what the peer's window holds of the messages before. */
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
        d->deflater = deflater_new(ws_output_window_bits(c), o->level, o->memory_level);
        d->level = o->level;
        d->memory_level = o->memory_level;
        conn_account(w, c);
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
    const struct deflate_options *o = p ? ws_output_deflate(w, c) : NULL;
    if (!p || !o->enabled || len < o->min_bytes)
        return 0;
    bool each_alone = c->client ? p->client_no_context_takeover : p->server_no_context_takeover;
    w->scratch.len = 0;
    int status = each_alone ? deflaters_message(&w->deflaters, ws_output_window_bits(c), o->level,
                                                o->memory_level, data, len, &w->scratch)
                            : compress_on(w, c, o, data, len);
    return status < 0 ? status : 1;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* In the functions below message_len is the length before compression. */

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
    if (status == 0 && !c->was_refused)
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
    outbound_note_payload(&c->out, message_len, f->rsv1);
    return 0;
}

/* A masked message must be copied first. A large one is then offered to the system at once too, so
 * that queued_bytes counts only the bytes it did not take. */
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

/* Most messages are short, and neither masked nor compressed. */
static int send_short(struct worker *w, struct conn *c, const uint8_t *data, size_t len,
                      enum frame_opcode opcode)
{
    uint8_t *at = conn_reserve(w, c, FRAME_SHORT_HEADER + len, true);
    if (!at)
        return ERR_CLOSED;
    frame_encode_short(at, opcode, len);
    if (len > 0)
        memcpy(at + FRAME_SHORT_HEADER, data, len);
    outbound_note_payload(&c->out, len, false);
    return 0;
}

/* Any other message. Not inlined, so that short ones need not save the registers that it uses. */
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

int ws_output_message(struct worker *w, struct conn *c, const uint8_t *data, size_t len,
                      enum frame_opcode opcode)
{
    if (len <= FRAME_SHORT_MAX && !c->client && !c->deflate)
        return send_short(w, c, data, len, opcode);
    return send_long(w, c, data, len, opcode);
}

int ws_output_masked(struct worker *w, struct conn *c, const uint8_t *frames, size_t len,
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
