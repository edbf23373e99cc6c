/* Bytes that nobody vouches for, on their way into a line of text or into JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* How many bytes the UTF-8 character (RFC 3629 §4) has that text begins with; 0 if it begins with
 * none. len is not 0. */
size_t escape_character(const uint8_t *text, size_t len);

/* True when the character of len bytes is a control: C0, DEL or C1. */
bool escape_is_control(const uint8_t *text, size_t len);

/* Appends a text as the inside of a JSON string (RFC 8259 §7). Bytes that are not UTF-8 become
 * U+FFFD. 0 or ERR_MEMORY. */
int escape_json(struct buffer *out, const char *text, size_t len)
    __attribute__((warn_unused_result));

/* Appends JSON unchanged but for bytes inside its strings that are not UTF-8, which become U+FFFD,
 * and for DEL and C1 controls, which are escaped. 0 or ERR_MEMORY. */
int escape_invalid(struct buffer *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
