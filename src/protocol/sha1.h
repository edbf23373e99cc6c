/* SHA-1 (FIPS 180-4 §6.1), for Sec-WebSocket-Accept, where it proves that the server has read the
 * key, and to see whether files have changed: it needs no strength. A library's would load two megabytes
 * of it for one block. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t len);
