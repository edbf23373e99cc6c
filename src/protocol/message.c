/* Reads messages: those that come whole in one frame at once, all others frame by frame. */
#include "protocol/message.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "protocol/deflate.h"
#include "protocol/mask.h"
#include "protocol/message_header.h"
#include "protocol/message_payload.h"
#include "protocol/message_reading.h"

enum {
    DIRECT_MIN = 16 * 1024, /* payload left that makes message_space worth while */
    WHOLE_MAX = 16 * 1024   /* bytes that the nearest cache has still when a text is checked */
};

static bool partial_is_idle(const struct message_partial *p)
{
    return !p->header_len && !p->in_frame && !p->kind && !p->closed;
}

static void partial_free(struct message_reader *r)
{
    message_partial_deinit(r->partial);
    free(r->partial);
    r->partial = NULL;
}

void message_reader_deinit(struct message_reader *r)
{
    if (r->partial)
        partial_free(r);
    message_drop_inflater(r);
}

/* ---- whole messages ---- */

/* Is a whole message at the start of the input, in one frame of at most WHOLE_MAX bytes that is not
 * compressed? Then it is consumed, and *out is filled; its data is masked still. False for all
 * else, be it legal or not. */
static bool take_whole(const struct message_rules *rules, uint8_t **data, size_t *len,
                       struct message *out)
{
    enum { FIN = 0x80, MASKED = 0x80, LENGTH_16 = 126 };
    const uint8_t *head = *data;
    size_t size = 2;
    if (*len < size || (head[0] != (FIN | FRAME_TEXT) && head[0] != (FIN | FRAME_BINARY)) ||
        (head[1] & MASKED) != (rules->from_client ? MASKED : 0))
        return false;
    size_t n = head[1] & 0x7f;
    if (n >= LENGTH_16) {
        if (n > LENGTH_16 || *len < 4)
            return false;
        n = (size_t)head[2] << 8 | head[3];
        size = 4;
        if (n < LENGTH_16) /* not in the shortest way (§5.2) */
            return false;
    }
    size += rules->from_client ? 4 : 0;
    if (*len < size || *len - size < n || n > WHOLE_MAX || n > rules->message_bytes)
        return false;
    *out = (struct message){.kind = head[0] & 0x0f, .data = *data + size, .len = n};
    *data += size + n;
    *len -= size + n;
    return true;
}

/* Unmasks and checks what take_whole took, without the bookkeeping of the long way, and with the
 * same result. */
static int open_whole(const struct message_rules *rules, const struct message *m, const char **why)
{
    bool ascii = rules->from_client && mask_apply(m->data, m->len, m->data - 4, 0);
    struct utf8 text = {0};
    if (m->kind != MESSAGE_TEXT || ascii)
        return 1;
    if (utf8_check(&text, m->data, m->len) < 0) {
        *why = "a text message is not UTF-8";
        return ERR_UTF8;
    }
    if (!utf8_complete(&text)) {
        *why = "a text message ends within a character";
        return ERR_UTF8;
    }
    return 1;
}

/* ---- frame by frame ---- */

static int read_frames(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    for (;;) {
        int status = p->in_frame ? 1 : message_header_read(in);
        if (status <= 0)
            return status;
        status =
            message_is_control(p->frame.opcode) ? message_take_control(in) : message_take_data(in);
        if (status || p->in_frame)
            return status;
    }
}

/* Keeps *p, which is on the stack, for the next call, if it holds anything. */
static int keep_partial(struct message_reader *r, struct message_partial *p)
{
    if (partial_is_idle(p)) {
        message_partial_deinit(p);
        return 0;
    }
    r->partial = malloc(sizeof(*r->partial));
    if (!r->partial) {
        message_partial_deinit(p);
        return ERR_MEMORY;
    }
    *r->partial = *p;
    return 0;
}

/* Reads between two messages. */
static int read_fresh(struct message_reading *in)
{
    struct message_partial p = {0};
    in->partial = &p;
    int status = read_frames(in);
    if (status < 0) {
        message_partial_deinit(&p);
        return status;
    }
    if (!keep_partial(in->reader, &p))
        return status;
    if (status == 1)
        free(in->out->block);
    return message_out_of_memory(in);
}

/* Goes on within a message or a frame, or after a Close. */
static int read_on(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    if (p->closed) {
        message_consume(in, in->len);
        return 0;
    }
    int status = read_frames(in);
    if (status >= 0 && partial_is_idle(p))
        partial_free(in->reader);
    return status;
}

int message_read(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                 size_t *len, struct message *out, const char **why)
{
    if (!r->partial) {
        if (take_whole(rules, data, len, out))
            return open_whole(rules, out, why);
        if (*len == 0)
            return 0;
    }
    struct message_reading in = {
        .reader = r, .rules = rules, .partial = r->partial, .data = *data, .len = *len, .out = out};
    int status = r->partial ? read_on(&in) : read_fresh(&in);
    *data = in.data;
    *len = in.len;
    if (status < 0)
        *why = in.why;
    return status;
}

/* ---- straight from the socket ---- */

size_t message_space(struct message_reader *r, uint8_t **into)
{
    struct message_partial *p = r->partial;
    if (!p || !p->in_frame || p->closed || p->compressed || message_is_control(p->frame.opcode))
        return 0;
    uint64_t left = p->frame.len - p->done - p->filled;
    if (left < DIRECT_MIN)
        return 0;
    if (message_payload_room(p) < p->filled + DIRECT_MIN && p->filled == 0 &&
        message_reserve(p, 0) < 0)
        return 0;
    *into = p->payload.data + p->payload.len + p->filled;
    size_t room = message_payload_room(p) - p->filled;
    return left < room ? (size_t)left : room;
}

void message_filled(struct message_reader *r, size_t n)
{
    assert(r->partial && n <= message_payload_room(r->partial) - r->partial->filled);
    r->partial->filled += n;
}

uint32_t *message_mark(struct message_reader *r)
{
    return r->partial && !r->partial->closed ? &r->partial->mark : NULL;
}

size_t message_held(const struct message_reader *r)
{
    const struct message_partial *p = r->partial;
    return p ? sizeof(*p) + p->payload.cap + p->control.cap : 0;
}

size_t message_window_held(const struct message_reader *r)
{
    return r->inflater ? inflater_held(r->inflater) : 0;
}
