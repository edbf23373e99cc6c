/* Masking (RFC 6455 §5.3): its own inverse. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways to do it, best last. */
enum mask_form { MASK_SCALAR, MASK_WORDS, MASK_SSE2, MASK_AVX2 };

/* XORs data[0..len) in place with the 4 key bytes, beginning with key byte offset % 4.
 * Uses AVX2 or SSE2 where the machine has them.
 * True: all that came out is ASCII, and so needs no look for UTF-8. False: it is not, or it is too short
 * for the look to pay. */
bool mask_apply(uint8_t *data, size_t len, const uint8_t key[4], size_t offset);
/* The same, one byte at a time: the reference for the specs. */
void mask_apply_scalar(uint8_t *data, size_t len, const uint8_t key[4], size_t offset);
/* The same in one chosen form, at most mask_form_best(), so that the specs see them all. False only when
 * it is not ASCII. */
bool mask_apply_as(enum mask_form form, uint8_t *data, size_t len, const uint8_t key[4],
                   size_t offset);
/* The best form that this machine has. */
enum mask_form mask_form_best(void);
