/* Reads frame headers and finds their first fault, whatever the cuts. */
#include "protocol/message_header.h"

#include <string.h>

#include "base/error.h"

enum {
    /* A compressed message may hold this many bytes per byte that may come out, and the slack more:
     * a sender that flushes after every byte needs about 7. */
    DEFLATE_FACTOR = 8,
    DEFLATE_SLACK = 1024
};

/* ---- faults ---- */

/* Checks the first byte against the message under way (RFC 6455 §5.4) and against what was agreed
 * (§5.2; RFC 7692 §6: RSV1 is on a message's first frame only). */
static const char *sequence_fault(const struct message_reading *in, const uint8_t *head)
{
    uint8_t opcode = head[0] & 0x0f;
    if (message_is_control(opcode))
        return NULL;
    bool under_way = in->partial->kind;
    bool rsv1 = head[0] & 0x40;
    if (rsv1 && !in->rules->compressed)
        return "RSV1 is set, but no compression was agreed";
    if (rsv1 && opcode == FRAME_CONTINUATION)
        return "RSV1 is set on a continuation frame";
    if (opcode == FRAME_CONTINUATION)
        return under_way ? NULL : "a continuation frame without a message to continue";
    return under_way ? "a new message begins before the last one ended" : NULL;
}

/* Checks the second byte: frames are masked by clients, never by servers (§5.1). */
static const char *second_byte_fault(const struct message_rules *rules, const uint8_t *head)
{
    bool masked = head[1] & 0x80;
    if (masked != rules->from_client)
        return masked ? "a server's frame is masked" : "a client's frame is not masked";
    bool one_byte = (head[1] & 0x7f) == 1;
    if ((head[0] & 0x0f) == FRAME_CLOSE && one_byte)
        return "a close frame holds one byte, which is no code";
    return NULL;
}

/* For a header that frame_decode took. */
static const char *whole_header_fault(const struct message_reading *in, const uint8_t *head)
{
    const char *fault = sequence_fault(in, head);
    return fault ? fault : second_byte_fault(in->rules, head);
}

/* Finds the first fault of a header that is cut or bad in the order of its bytes, so that the same
 * one is reported whether they come together or apart. */
static const char *header_fault(const struct message_reading *in, const uint8_t *head, size_t len)
{
    for (size_t n = 1; n <= len && n <= FRAME_HEADER_MAX; n++) {
        const char *fault = frame_fault(head, n);
        if (!fault && n == 1)
            fault = sequence_fault(in, head);
        if (!fault && n == 2)
            fault = second_byte_fault(in->rules, head);
        if (fault)
            return fault;
    }
    return NULL;
}

/* ---- reading ---- */

/* How many payload bytes a message's frames may hold in all. */
static uint64_t wire_limit(const struct message_reading *in)
{
    return in->partial->compressed
               ? message_inflated_limit(in->rules) * DEFLATE_FACTOR + DEFLATE_SLACK
               : in->rules->message_bytes;
}

static int begin_frame(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    p->in_frame = true;
    p->done = 0;
    if (message_is_control(p->frame.opcode))
        return 1;
    if (p->frame.opcode != FRAME_CONTINUATION) {
        p->kind = p->frame.opcode;
        p->compressed = p->frame.rsv1;
    }
    if (p->frame.len == 0 && !p->frame.fin && in->rules->empty_fragments)
        ++*in->rules->empty_fragments;
    if (p->frame.len > wire_limit(in) - p->wire)
        return message_refuse(in, ERR_TOO_BIG, "a message is longer than the limit");
    p->wire += p->frame.len;
    return 1;
}

int message_header_read(struct message_reading *in)
{
    struct message_partial *p = in->partial;
    if (in->len == 0)
        return 0;
    const uint8_t *head = in->data;
    size_t head_len = in->len;
    size_t kept = p->header_len;
    if (kept > 0) {
        size_t more = FRAME_HEADER_MAX - kept < in->len ? FRAME_HEADER_MAX - kept : in->len;
        memcpy(p->header + kept, in->data, more);
        head = p->header;
        head_len = kept + more;
    }
    int size = frame_decode(&p->frame, head, head_len);
    const char *fault = size > 0 ? whole_header_fault(in, head) : header_fault(in, head, head_len);
    if (fault)
        return message_refuse(in, ERR_PROTOCOL, fault);
    if (size == 0) {
        memcpy(p->header + kept, in->data, in->len);
        p->header_len = (uint8_t)(kept + in->len);
        message_consume(in, in->len);
        return 0;
    }
    message_consume(in, (size_t)size - kept);
    p->header_len = 0;
    return begin_frame(in);
}
