/* WebSocket frame headers (RFC 6455 §5.2), both roles. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_opcode {
    FRAME_CONTINUATION = 0x0,
    FRAME_TEXT = 0x1,
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xa
};

enum frame_size {
    FRAME_HEADER_MAX = 14,   /* 2 + 8 of length + 4 of mask */
    FRAME_CONTROL_MAX = 125, /* §5.5 */
    FRAME_SHORT_MAX = 125,   /* the longest payload whose length fits the second byte (§5.2) */
    FRAME_SHORT_HEADER = 2   /* header of a frame with such a payload, and without a mask */
};

struct frame {
    uint64_t len;   /* payload bytes */
    uint8_t key[4]; /* valid when masked */
    uint8_t opcode;
    bool fin;
    bool rsv1; /* the message is compressed (RFC 7692 §6) */
    bool masked;
};

/* Decodes one frame header from data[0..len). Returns the bytes consumed (2..14), 0 if more are
 * needed, or ERR_PROTOCOL: a reserved opcode, RSV2 or RSV3, a control frame that is fragmented,
 * over 125 bytes or has RSV1 (§5.5), or a length that is not in the fewest bytes or has its top bit
 * set (§5.2). A fault is reported as soon as the bytes seen show it. The caller checks whether RSV1
 * was agreed, and whether the frame must be masked. Writes *out only on success. */
int frame_decode(struct frame *out, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* The first fault that data[0..len) shows, as a static text for people, or NULL. frame_decode
 * returns ERR_PROTOCOL where this is not NULL. */
const char *frame_fault(const uint8_t *data, size_t len);

/* Encodes a header into out, which has room for FRAME_HEADER_MAX bytes. Returns its length, which
 * frame_header_bytes tells beforehand. */
size_t frame_encode(uint8_t *out, const struct frame *f);
size_t frame_header_bytes(const struct frame *f);

/* Encodes the header of most messages: of a whole one of len <= FRAME_SHORT_MAX bytes, not masked
 * and not compressed. Writes FRAME_SHORT_HEADER bytes. */
void frame_encode_short(uint8_t *out, enum frame_opcode opcode, size_t len);
