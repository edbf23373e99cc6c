/* Bytes that nobody vouches for, on their way into a line or a JSON text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Bytes of the UTF-8 character (RFC 3629 §4) that text begins with; 0 if it begins with none. len is
 * not 0. */
size_t escape_character(const uint8_t *text, size_t len);
/* Is the character of len bytes C0, DEL or, in its two bytes of UTF-8, C1? */
bool escape_is_control(const uint8_t *text, size_t len);
/* Appends the inside of a JSON string (RFC 8259 §7), which is UTF-8: bytes that are not become U+FFFD.
 * 0 or ERR_MEMORY. */
int escape_json(struct buffer *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
/* Appends JSON as it is, but for the bytes that are not UTF-8, inside its strings: they become U+FFFD.
 * 0 or ERR_MEMORY. */
int escape_invalid(struct buffer *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
