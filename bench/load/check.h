/* Replies are checked, so that a wrong server cannot look fast. */
#pragma once

#include "cycle.h"

#include <stddef.h>
#include <stdint.h>

/* Where in a cycle the reply stream of one connection stands. */
struct check {
    unsigned message; /* the one that comes next, in [0, count) */
    size_t at;        /* bytes of it that were seen */
    uint32_t number;  /* that it carries */
    uint32_t step;    /* from one message's number to the next one's */
};

/* The server answers a known message with known bytes, so the reply stream is known to the byte:
 * compares it with the cycle, which it numbers: of each frame the head, the first and the last 64 payload bytes.
 * Returns how many frames ended in data. Fails on a difference. */
unsigned check_exact(struct check *c, struct cycle *expected, const uint8_t *data, size_t len);

/* A compressed reply's bytes are the server's choice: they are inflated and compared whole. */
struct check_inflate;

struct check_inflate *check_inflate_new(uint8_t *const *payloads, const size_t *sizes,
                                        unsigned count);
unsigned check_inflated(struct check_inflate *c, const uint8_t *data, size_t len);
/* Reply bytes seen so far on all of these, for the compression ratio. */
uint64_t check_inflate_bytes(const struct check_inflate *c);
