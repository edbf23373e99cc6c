/* UTF-8 (RFC 3629 §4), checked as it arrives: a bad byte is refused as soon as it is seen, also
 * when its character began in an earlier piece. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways to do it, from the slowest to the fastest. */
enum utf8_form { UTF8_SCALAR, UTF8_WORDS, UTF8_SSSE3, UTF8_AVX2 };

/* All zero is the state between two characters. */
struct utf8 {
    uint8_t state;
};

/* Checks the next piece of a text, with SIMD where the machine has it. The state carries a
 * character that the piece cuts. 0 or ERR_UTF8. */
int utf8_check(struct utf8 *u, const uint8_t *data, size_t len) __attribute__((warn_unused_result));

/* Does it one byte at a time: the reference for the specs. */
int utf8_check_scalar(struct utf8 *u, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Does it in one chosen form, at most utf8_form_best(), so that the specs see them all. */
int utf8_check_as(enum utf8_form form, struct utf8 *u, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* The fastest form that this machine has. */
enum utf8_form utf8_form_best(void);

/* True between two characters: the text may end here. */
bool utf8_complete(const struct utf8 *u);

/* True for a text that is whole and UTF-8. */
bool utf8_valid(const uint8_t *data, size_t len);
