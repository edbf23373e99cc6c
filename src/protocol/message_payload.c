/* Takes the payloads of frames: unmasks and checks them, and joins what comes in pieces. */
#include "protocol/message_payload.h"

#include <stdlib.h>

#include "base/error.h"
#include "protocol/close_code.h"
#include "protocol/mask.h"
#include "protocol/message_inflate.h"

enum {
    RESERVE_MAX = 64 * 1024, /* bytes taken ahead of what arrived; beyond it, */
    RESERVE_FACTOR = 3,      /* three times as much as has come */
    FIT_MIN = 16 * 1024,     /* a message of so many bytes */
    FIT_PART = 4,            /* wastes at most this part of its block */
    LOOK_BYTES = 16 * 1024   /* unmasked and checked while the nearest cache has them */
};

/* Takes from the input the next *n bytes of the frame under way, still masked: open_payload comes
 * next. */
static uint8_t *take_payload(struct message_reading *in, size_t *n)
{
    uint64_t left = in->partial->frame.len - in->partial->done;
    *n = left < in->len ? (size_t)left : in->len;
    return message_consume(in, *n);
}

/* Unmasks the next n bytes of the frame under way. True when they are known to be ASCII. */
static bool open_payload(struct message_partial *p, uint8_t *piece, size_t n)
{
    bool ascii = p->frame.masked && mask_apply(piece, n, p->frame.key, (size_t)(p->done % 4));
    p->done += n;
    return ascii;
}

/* Gives the buffer's memory to the message, which begins behind `head` bytes of it. */
static void hand_over(struct buffer *b, size_t head, struct message *out)
{
    if (b->len > 0) {
        out->data = b->data + head;
        out->len = b->len - head;
    }
    out->block = b->data;
    *b = (struct buffer){0};
}

/* ---- control frames ---- */

static int refuse_close(struct message_reading *in, int err)
{
    return message_refuse(in, err,
                          err == ERR_UTF8 ? "a close reason is not UTF-8"
                                          : "a close frame has a code that must not be sent");
}

/* Checks what came of a Close that is not whole: its code, and the reason so far. */
static int check_close_start(struct message_reading *in)
{
    const struct buffer *payload = &in->partial->control;
    struct utf8 reason = {0};
    if (payload->len < 2)
        return 0;
    if (!close_code_valid((unsigned)payload->data[0] << 8 | payload->data[1]))
        return refuse_close(in, ERR_PROTOCOL);
    int err = utf8_check(&reason, payload->data + 2, payload->len - 2);
    return err ? refuse_close(in, err) : 0;
}

/* After a Close nothing else matters (RFC 6455 §5.5.1): what was under way is let go. */
static int finish_close(struct message_reading *in)
{
    struct message *out = in->out;
    int err = close_decode(out->data, out->len, &out->close_code);
    if (err) {
        free(out->block);
        return refuse_close(in, err);
    }
    size_t code_len = out->len < 2 ? 0 : 2;
    out->len -= code_len;
    out->data += code_len;
    message_partial_deinit(in->partial);
    in->partial->closed = true;
    message_drop_inflater(in->reader);
    return 1;
}

int message_take_control(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    size_t n;
    uint8_t *piece = take_payload(in, &n);
    open_payload(p, piece, n);
    bool in_place = n == p->frame.len;
    if (!in_place && buffer_append(&p->control, piece, n) < 0)
        return message_out_of_memory(in);
    if (!message_frame_is_whole(p))
        return p->frame.opcode == FRAME_CLOSE ? check_close_start(in) : 0;
    p->in_frame = false;
    *in->out = (struct message){.kind = p->frame.opcode, .data = piece, .len = n};
    if (!in_place)
        hand_over(&p->control, 0, in->out);
    return in->out->kind == MESSAGE_CLOSE ? finish_close(in) : 1;
}

/* ---- data frames ---- */

/* Never takes more than RESERVE_MAX or RESERVE_FACTOR times what has come, so that a header alone
 * makes nobody spend memory. Growing by less would copy a large message more often. */
int message_reserve(struct message_partial *p, size_t n)
{
    if (n > 0 && message_payload_room(p) >= n)
        return 0;
    uint64_t left = p->frame.len - p->done + n;
    size_t have = p->payload.len + n;
    size_t ahead = have < RESERVE_MAX / 4 ? RESERVE_MAX - p->payload.len : have * RESERVE_FACTOR;
    size_t wish = n > ahead ? n : ahead;
    return message_payload_grow(p, left < wish ? (size_t)left : wish);
}

/* Unmasks the next n bytes of a frame that is not compressed, and checks a text. */
static int open_data(struct message_reading *in, uint8_t *piece, size_t n)
{
    struct message_partial *p = in->partial;
    int err = 0;
    while (n > 0 && !err) {
        size_t step = n < LOOK_BYTES ? n : LOOK_BYTES;
        bool ascii = open_payload(p, piece, step);
        if (!ascii || !utf8_complete(&p->utf8))
            err = message_check_text(in, piece, step);
        piece += step;
        n -= step;
    }
    return err;
}

/* Takes the bytes that message_filled told of. */
static int take_filled(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    size_t n = p->filled;
    if (n == 0)
        return 0;
    p->filled = 0;
    p->payload.len += n;
    return open_data(in, p->payload.data + p->payload.len - n, n);
}

static int store_piece(struct message_reading *in, const uint8_t *piece, size_t n)
{
    struct message_partial *p = in->partial;
    if (n > 0 && (message_reserve(p, n) < 0 || buffer_append(&p->payload, piece, n) < 0))
        return message_out_of_memory(in);
    return 0;
}

/* Gives the whole message its tail room, and a long one not much more: it may be kept. */
static int fit_payload(struct message_partial *p)
{
    if (message_payload_grow(p, 0) < 0)
        return ERR_MEMORY;
    size_t needed = p->payload.len + MESSAGE_TAIL_ROOM;
    if (needed < FIT_MIN || p->payload.cap - needed <= needed / FIT_PART)
        return 0;
    uint8_t *data = realloc(p->payload.data, needed);
    if (data)
        p->payload = (struct buffer){.data = data, .len = p->payload.len, .cap = needed};
    return 0;
}

/* The message's last frame is whole. Its payload is the n bytes in place, or was stored where
 * in_place is NULL. */
static int finish_message(struct message_reading *in, uint8_t *in_place, size_t n)
{
    struct message_partial *p = in->partial;
    if (p->kind == MESSAGE_TEXT && !utf8_complete(&p->utf8))
        return message_refuse(in, ERR_UTF8, "a text message ends within a character");
    *in->out = (struct message){.kind = p->kind, .data = in_place, .len = n};
    if (!in_place) {
        if (p->payload.len > 0 && fit_payload(p) < 0)
            return message_out_of_memory(in);
        hand_over(&p->payload, MESSAGE_HEAD_ROOM, in->out);
    }
    if (p->compressed)
        message_inflate_end(in);
    p->kind = 0; /* the reader is idle now: the rest of *p goes with it */
    return 1;
}

int message_take_data(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    int err = take_filled(in);
    if (err)
        return err;
    size_t n;
    uint8_t *piece = take_payload(in, &n);
    /* The piece is all of the message, and is handed over in place. */
    bool whole = !p->compressed && p->frame.fin && p->wire == n;
    if (p->compressed) {
        open_payload(p, piece, n);
        err = message_inflate(in, piece, n);
    } else {
        err = open_data(in, piece, n);
        if (!err && !whole)
            err = store_piece(in, piece, n);
    }
    if (err || !message_frame_is_whole(p))
        return err;
    p->in_frame = false;
    return p->frame.fin ? finish_message(in, whole ? piece : NULL, n) : 0;
}
