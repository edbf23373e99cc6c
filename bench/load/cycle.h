/* A cycle: a few messages, encoded once, laid out so that any run of `spare` + 1 messages from any
 * start is contiguous. Senders and checkers walk it round and round, and number what they send: no
 * server gets the same message again, which it might have kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cycle {
    uint8_t *bytes;
    size_t *offset; /* offset[i] is where message i begins, i in [0, count + spare] */
    unsigned count;
    unsigned spare;
    size_t number_at; /* of a frame; 0: messages of given payloads, or too short, have no number */
    uint8_t key[4];   /* of the mask where the number lies */
};

/* How one message becomes a frame. */
struct framing {
    uint8_t opcode;  /* 1 text, 2 binary */
    bool compressed; /* RSV1 (RFC 7692 §6) */
    bool masked;     /* a client's frame (RFC 6455 §5.1) */
};

/* Header bytes of a frame with this payload: minimal length form (RFC 6455 §5.2). */
size_t frame_head_size(size_t payload, bool masked);

/* Writes one whole frame to out, which has room; returns its size. */
size_t frame_write(uint8_t *out, struct framing f, const uint8_t *payload, size_t size);

/* How many distinct messages a cycle of this payload size has: eight, fewer when they are large so
 * that walking it does not empty the client's caches, never fewer than two. */
unsigned cycle_count(size_t payload);

/* Writes a number into message i, in [0, count + spare], as eight letters behind its first byte. */
void cycle_number(struct cycle *c, unsigned i, uint32_t number);

/* A cycle of printable messages of one size; the first byte of message i is 'A' + i % 26. */
void cycle_init(struct cycle *c, unsigned count, unsigned spare, struct framing f, size_t payload);

/* A cycle of given payloads. */
void cycle_init_from(struct cycle *c, unsigned count, unsigned spare, struct framing f,
                     uint8_t *const *payloads, const size_t *sizes);

void cycle_deinit(struct cycle *c);

/* Bytes of one round, and of everything that is laid out. */
size_t cycle_round(const struct cycle *c);
size_t cycle_laid_out(const struct cycle *c);
