/* SHA-1 (FIPS 180-4 §6.1), for Sec-WebSocket-Accept, where it proves that the server has read the
 * key, and to see whether files have changed: it needs no strength. A library's would load two megabytes
 * of it for one block. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

/* The ways to do it, best last. */
enum sha1_form { SHA1_SCALAR, SHA1_INSTRUCTIONS };

void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t len);
/* The same in one chosen form, at most sha1_form_best(), so that the specs see both. */
void sha1_as(enum sha1_form form, uint8_t out[SHA1_BYTES], const void *data, size_t len);
enum sha1_form sha1_form_best(void);
