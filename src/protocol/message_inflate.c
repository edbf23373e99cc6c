/* Inflates the payload of compressed messages, and borrows the inflaters for it. */
#include "protocol/message_inflate.h"

#include "base/error.h"
#include "protocol/deflate.h"

enum {
    LARGEST_WINDOW_BITS = 15,
    WHOLE_MIN = 1024 /* compressed bytes that make inflater_message the faster way */
};

/* The inflater of a message without context has the largest window, which suits every peer. */
static int take_inflater(struct message_reader *r, const struct message_rules *rules)
{
    if (rules->inflate_context) {
        r->inflater = inflater_new(rules->inflate_bits);
    } else if (rules->spare && *rules->spare) {
        r->inflater = *rules->spare;
        *rules->spare = NULL;
    } else {
        r->inflater = inflater_new(LARGEST_WINDOW_BITS);
    }
    return r->inflater ? 0 : ERR_MEMORY;
}

static int refuse_inflating(struct message_reading *in, int err)
{
    switch (err) {
    case ERR_TOO_BIG:
        return message_refuse(in, err,
                              "a compressed message is longer than the limit when inflated");
    case ERR_PROTOCOL:
        return message_refuse(in, err, "a compressed message is not valid DEFLATE data");
    default:
        return message_out_of_memory(in);
    }
}

int message_inflate(struct message_reading *in, uint8_t *piece, size_t n)
{
    struct message_partial *p = in->partial;
    struct message_reader *r = in->reader;
    if ((!r->inflater && take_inflater(r, in->rules) < 0) ||
        (p->payload.len == 0 && message_payload_grow(p, 0) < 0))
        return message_out_of_memory(in);
    bool last = p->frame.fin && message_frame_is_whole(p);
    bool whole = last && p->wire == n && n >= WHOLE_MIN && !in->rules->inflate_context;
    size_t before = p->payload.len;
    size_t limit = (size_t)message_inflated_limit(in->rules) + MESSAGE_HEAD_ROOM;
    int failed = whole ? inflater_message(r->inflater, piece, n, limit, &p->payload)
                       : inflater_push(r->inflater, piece, n, last, limit, &p->payload);
    /* Text before a fault is checked first, as it would be if the bytes came slowly. */
    if (p->payload.len > before) {
        int err = message_check_text(in, p->payload.data + before, p->payload.len - before);
        if (err)
            return err;
    }
    return failed ? refuse_inflating(in, failed) : 0;
}

void message_inflate_end(struct message_reading *in)
{
    struct inflater **spare = in->rules->spare;
    if (in->rules->inflate_context)
        return;
    if (!spare || *spare) {
        message_drop_inflater(in->reader);
        return;
    }
    inflater_reset(in->reader->inflater);
    *spare = in->reader->inflater;
    in->reader->inflater = NULL;
}
