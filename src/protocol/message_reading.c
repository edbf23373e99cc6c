/* Holds the functions that the parts of the message reader share. */
#include "protocol/message_reading.h"

#include "base/error.h"
#include "protocol/deflate.h"

int message_refuse(struct message_reading *in, int err, const char *why)
{
    in->why = why;
    return err;
}

int message_out_of_memory(struct message_reading *in)
{
    return message_refuse(in, ERR_MEMORY, "out of memory");
}

uint8_t *message_consume(struct message_reading *in, size_t n)
{
    uint8_t *begin = in->data;
    if (n > 0) { /* data may be NULL when the input is empty */
        in->data += n;
        in->len -= n;
    }
    return begin;
}

int message_check_text(struct message_reading *in, const uint8_t *data, size_t len)
{
    struct message_partial *p = in->partial;
    if (p->kind != MESSAGE_TEXT || !utf8_check(&p->utf8, data, len))
        return 0;
    return message_refuse(in, ERR_UTF8, "a text message is not UTF-8");
}

void message_drop_inflater(struct message_reader *r)
{
    inflater_free(r->inflater);
    r->inflater = NULL;
}

void message_partial_deinit(struct message_partial *p)
{
    buffer_deinit(&p->payload);
    buffer_deinit(&p->control);
}

size_t message_payload_room(const struct message_partial *p)
{
    size_t used = p->payload.len + MESSAGE_TAIL_ROOM;
    return used < p->payload.cap ? p->payload.cap - used : 0;
}

int message_payload_grow(struct message_partial *p, size_t n)
{
    size_t head = p->payload.len == 0 ? MESSAGE_HEAD_ROOM : 0;
    int err = buffer_reserve(&p->payload, head + n + MESSAGE_TAIL_ROOM);
    if (!err)
        p->payload.len += head;
    return err;
}

uint64_t message_inflated_limit(const struct message_rules *rules)
{
    return rules->inflated_bytes ? rules->inflated_bytes : rules->message_bytes;
}

bool message_is_control(uint8_t opcode)
{
    return opcode >= FRAME_CLOSE;
}

bool message_frame_is_whole(const struct message_partial *p)
{
    return p->done == p->frame.len;
}
