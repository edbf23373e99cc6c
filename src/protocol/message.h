/* From bytes to messages (RFC 6455 §5.4–§5.6, §8.1; RFC 7692 §6.2), both roles. Pure.
 *
 * A reader of an idle connection is two words and owns nothing: memory is taken only while a frame
 * or a message is incomplete, while a window must be kept, and after a Close. Memory follows the
 * bytes that came, never the length that a header announces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/deflate.h"

/* The opcodes. */
enum message_kind {
    MESSAGE_TEXT = 0x1,
    MESSAGE_BINARY = 0x2,
    MESSAGE_CLOSE = 0x8,
    MESSAGE_PING = 0x9,
    MESSAGE_PONG = 0xa
};

/* What a reader must know: the same for all connections of a kind. */
struct message_rules {
    bool from_client;       /* frames must be masked (§5.1); else they must not be */
    bool compressed;        /* permessage-deflate was agreed: RSV1 may begin a message */
    bool inflate_context;   /* the peer keeps its window between messages */
    uint8_t inflate_bits;   /* the peer's window, 8..15 */
    uint32_t message_bytes; /* limit of a message */
    /* The limit of a compressed message when inflated; 0 stands for message_bytes. On the wire it
     * may be eight times as long and 1024 bytes more: nobody can send empty blocks for ever. */
    uint32_t inflated_bytes;
    /* A place shared by the readers of one thread for an inflater (NULL at first). A message that
     * needs no context takes the inflater from there and leaves it there when the message is whole,
     * so that not every message makes one. While a message is incomplete its reader keeps the
     * inflater, and another may be made. The caller frees what is there in the end. `spare` may be
     * NULL: then each message has an inflater of its own. */
    struct inflater **spare;
};

struct message {
    uint8_t kind;        /* enum message_kind */
    uint16_t close_code; /* of MESSAGE_CLOSE: CLOSE_NO_STATUS when there was none */
    uint8_t *data;       /* in the block or in the caller's input; of a Close, the reason */
    size_t len;          /* 0: data may be NULL */
    uint8_t *block;      /* malloc'ed and now the caller's to free; NULL for data in the input */
};

struct message_partial; /* an incomplete frame or message */

struct message_reader {
    struct message_partial *partial; /* NULL between messages, until a Close */
    /* Inflates the compressed message under way. Between messages it is NULL, unless its window is
     * needed. */
    struct inflater *inflater;
};

/* All zero is a fresh reader. Frees what the reader holds; it is then fresh again. */
void message_reader_deinit(struct message_reader *r);

/* Takes the next item from *data, *len, which advance past what was consumed. The input is unmasked
 * in place. Returns 1 with *out filled, 0 when the input is used up and more is needed, or
 *   ERR_PROTOCOL  frame or sequence error, wrong masking, bad close payload, bad DEFLATE data
 *   ERR_UTF8      text or a close reason that is not UTF-8, at the first bad byte
 *   ERR_TOO_BIG   as soon as a frame header, or inflating, shows it
 *   ERR_MEMORY
 * after which the reader must only be deinited, and *why is a static text for people ("a client's
 * frame is not masked"). Of several faults the first in the order of the bytes is reported, however
 * they are cut. Frames after a Close are consumed, and nothing is returned for them. */
int message_read(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                 size_t *len, struct message *out, const char **why)
    __attribute__((warn_unused_result));

/* For large frames without a copy: returns how many payload bytes may be read from the socket
 * straight to *into. That is 0 unless 16 KiB or more are missing of an uncompressed data frame
 * under way, and 0 when memory is short. After reading n bytes there, call message_filled, then
 * message_read with *len 0. The place is good until the next message_read. */
size_t message_space(struct message_reader *r, uint8_t **into);
void message_filled(struct message_reader *r, size_t n);

/* Bytes of memory held for the incomplete message. */
size_t message_held(const struct message_reader *r);
