/* Masking (RFC 6455 §5.3): its own inverse. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways to do it, from the slowest to the fastest. */
enum mask_form { MASK_SCALAR, MASK_WORDS, MASK_SSE2, MASK_AVX2 };

/* XORs data[0..len) in place with the 4 key bytes, beginning with key byte offset % 4. Uses AVX2 or
 * SSE2 where the machine has them. Returns true when all that came out is known to be ASCII, and so
 * needs no check for UTF-8. False tells nothing. */
bool mask_apply(uint8_t *data, size_t len, const uint8_t key[4], size_t offset);

/* Does it one byte at a time: the reference for the specs. */
void mask_apply_scalar(uint8_t *data, size_t len, const uint8_t key[4], size_t offset);

/* Does it in one chosen form, at most mask_form_best(), so that the specs see them all. Returns
 * whether all that came out is ASCII. */
bool mask_apply_as(enum mask_form form, uint8_t *data, size_t len, const uint8_t key[4],
                   size_t offset);

/* The fastest form that this machine has. */
enum mask_form mask_form_best(void);
