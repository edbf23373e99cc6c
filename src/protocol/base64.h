/* Base64 (RFC 4648 §4). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Writes the text of data[0..len) with its padding and a NUL: 4 * ((len + 2) / 3) + 1 bytes. */
void base64_encode(char *out, const uint8_t *data, size_t len);
