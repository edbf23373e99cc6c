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

/* What a reader needs to know; the same for all of a kind of connection. */
struct message_rules {
    bool from_client;       /* frames must be masked (§5.1); else they must not be */
    bool compressed;        /* permessage-deflate was agreed: RSV1 may begin a message */
    bool inflate_context;   /* the peer keeps its window between messages */
    uint8_t inflate_bits;   /* the peer's window, 8..15 */
    uint32_t message_bytes; /* limit of a message */
    /* Limit of an inflated one; 0: message_bytes. On the wire it may be eight times as long and 1024
     * bytes more, so that nobody sends empty blocks for ever. */
    uint32_t inflated_bytes;
    /* Where readers of one thread find an inflater (NULL at first) for a message that needs no
     * context, and leave it when the message is whole, so that it is not made for each. A reader
     * whose message is incomplete keeps it meanwhile, and another may be made. The caller frees what
     * is there in the end. NULL: each message has its own. */
    struct inflater **spare;
};

/* Room in a text's or binary message's own block, before its data and behind: for whoever wants to make
 * something else of it where it lies (script/long_string.h). */
enum { MESSAGE_HEAD_ROOM = 24, MESSAGE_TAIL_ROOM = 8 };

struct message {
    uint8_t kind;        /* enum message_kind */
    uint16_t close_code; /* of MESSAGE_CLOSE: CLOSE_NO_STATUS when there was none */
    uint8_t *data;       /* inside the block, or the caller's input; a close's reason */
    size_t len;          /* 0: data may be NULL */
    uint8_t *block;      /* malloc'ed, and now the caller's to free; or NULL */
};

struct message_partial; /* what is known of an incomplete frame or message */

struct message_reader {
    struct message_partial *partial; /* NULL between messages, until a Close */
    struct inflater
        *inflater; /* of the compressed message under way, or while its window is needed */
};

/* All zero is a fresh reader. */
void message_reader_deinit(struct message_reader *r);

/* Take the next item from *data, *len, which advance past what was consumed. The input is unmasked
 * in place. Returns 1 with *out filled, 0 when the input is used up and more is needed, or
 *   ERR_PROTOCOL  frame or sequence error, wrong masking, bad close payload, bad DEFLATE data
 *   ERR_UTF8      text or a close reason that is not UTF-8, at the first bad byte
 *   ERR_TOO_BIG   as soon as a frame header, or inflating, shows it
 *   ERR_MEMORY
 * after which the reader must only be deinited; *why is then a static text for people ("a client's
 * frame is not masked"). Nothing is returned for frames after a Close: their bytes are consumed. */
int message_read(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                 size_t *len, struct message *out, const char **why);

/* For large frames, without a copy: how many payload bytes may be read from the socket straight into
 * *into. 0 unless an uncompressed data frame of which 16 KiB or more are missing is under way, or
 * when out of memory. After reading n of them there, call message_filled, then message_read with
 * *len 0. The place is good until the next message_read. */
size_t message_space(struct message_reader *r, uint8_t **into);
void message_filled(struct message_reader *r, size_t n);
/* Bytes of memory held for the incomplete message. */
size_t message_held(const struct message_reader *r);
