/* An incomplete message, and one call of message_read. Only message.c and its parts
 * message_header.c, message_payload.c and message_inflate.c use this header. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "protocol/frame.h"
#include "protocol/message_parts.h"
#include "protocol/utf8.h"

/* All zero is a reader between two messages. While message_read runs on such a reader, this is on
 * its stack, so that a message which comes whole costs no allocation. */
struct message_partial {
    struct frame frame;    /* the frame under way, if in_frame */
    uint64_t done;         /* its payload bytes taken, those in place included */
    uint64_t wire;         /* payload bytes of the message's frames, this one included */
    size_t filled;         /* bytes after payload.len that message_filled told of: still masked */
    struct buffer payload; /* MESSAGE_HEAD_ROOM, then the message so far; or empty */
    struct buffer control; /* the control frame so far */
    uint8_t header[FRAME_HEADER_MAX];
    uint8_t header_len; /* bytes of an incomplete header */
    uint8_t kind;       /* of the message under way; 0 for none */
    bool compressed;
    bool in_frame;
    bool closed;   /* a Close came: all else is ignored */
    uint32_t mark; /* the caller's */
    struct utf8 utf8;
};

/* The arguments of one call, which its parts pass on. */
struct message_reading {
    struct message_reader *reader;
    const struct message_rules *rules;
    struct message_partial *partial;
    uint8_t *data; /* the input that is left: len bytes */
    size_t len;
    struct message *out;
    const char *why; /* after an error: a static text for people */
};

/* Sets in->why, and returns err. */
int message_refuse(struct message_reading *in, int err, const char *why)
    __attribute__((warn_unused_result));
/* Sets in->why, and returns ERR_MEMORY. */
int message_out_of_memory(struct message_reading *in) __attribute__((warn_unused_result));

/* Consumes n <= in->len bytes of input, and returns where they begin. */
uint8_t *message_consume(struct message_reading *in, size_t n);

/* Checks the next bytes of the message under way, after unmasking and inflating: a text must be
 * UTF-8 (RFC 6455 §8.1), at whichever byte it is cut. 0 or ERR_UTF8. */
int message_check_text(struct message_reading *in, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Frees the inflater, which may be NULL. */
void message_drop_inflater(struct message_reader *r);

/* Frees the buffers. */
void message_partial_deinit(struct message_partial *p);

/* How many more bytes fit into the payload's buffer, before MESSAGE_TAIL_ROOM. */
size_t message_payload_room(const struct message_partial *p);
/* Makes room in it for n more bytes. 0 or ERR_MEMORY. */
int message_payload_grow(struct message_partial *p, size_t n) __attribute__((warn_unused_result));

/* How many bytes a compressed message may have when inflated. */
uint64_t message_inflated_limit(const struct message_rules *rules);

bool message_is_control(uint8_t opcode);
bool message_frame_is_whole(const struct message_partial *p);
