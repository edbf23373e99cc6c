/* The types of the message reader (message.h): rules, messages, readers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inflater;

/* The opcodes of messages (RFC 6455 §5.2). */
enum message_kind {
    MESSAGE_TEXT = 0x1,
    MESSAGE_BINARY = 0x2,
    MESSAGE_CLOSE = 0x8,
    MESSAGE_PING = 0x9,
    MESSAGE_PONG = 0xa
};

/* The rules of a connection, or of all connections of a kind. */
struct message_rules {
    bool from_client;       /* frames must be masked (RFC 6455 §5.1); else they must not be */
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
    /* Where to count the frames that carry nothing and end no message: legal (RFC 6455 §5.4), but
     * nobody hears of them, however many come. It may be NULL. */
    uint32_t *empty_fragments;
};

/* Unused bytes of a text's or binary message's own block, before its data and behind: the block can
 * become something else without moving the data (script/long_string.h). */
enum { MESSAGE_HEAD_ROOM = 24, MESSAGE_TAIL_ROOM = 8 };

struct message {
    uint8_t kind;        /* enum message_kind */
    uint16_t close_code; /* of MESSAGE_CLOSE: CLOSE_NO_STATUS when there was none */
    uint8_t *data;       /* in the block or in the caller's input; of a Close, the reason */
    size_t len;          /* 0: data may be NULL */
    uint8_t *block;      /* malloc'ed and now the caller's to free; NULL for data in the input */
};

struct message_partial; /* an incomplete frame or message */

/* All zero is a fresh reader. */
struct message_reader {
    struct message_partial *partial; /* NULL between messages, until a Close */
    /* Inflates the compressed message under way. Between messages it is NULL, unless its window is
     * needed. */
    struct inflater *inflater;
};
