/* UTF-8 (RFC 3629) checked as it arrives: a bad byte is refused as soon as it is seen, also when
 * the character began in an earlier piece. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways to do it, best last. */
enum utf8_form { UTF8_SCALAR, UTF8_WORDS, UTF8_SSSE3, UTF8_AVX2 };

/* Zero is the state between two characters. */
struct utf8 {
    uint8_t state;
};

/* 0 or ERR_UTF8. The state carries a character that the piece cuts. SIMD where the machine has it. */
int utf8_check(struct utf8 *u, const uint8_t *data, size_t len);
/* The same, one byte at a time: the reference for the specs. */
int utf8_check_scalar(struct utf8 *u, const uint8_t *data, size_t len);
/* The same in one chosen form, at most utf8_form_best(), so that the specs see them all. */
int utf8_check_as(enum utf8_form form, struct utf8 *u, const uint8_t *data, size_t len);
/* The best form that this machine has. */
enum utf8_form utf8_form_best(void);
/* True between two characters: the text may end here. */
bool utf8_complete(const struct utf8 *u);
/* Is this a whole text of UTF-8? */
bool utf8_valid(const uint8_t *data, size_t len);
