/* SHA-1 (FIPS 180-4 §6.1). Sec-WebSocket-Accept needs it to prove that the server has read the key,
 * and it tells whether files have changed; neither needs it to be strong. It is written here
 * because a library's would load two megabytes for one block. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

/* The ways to do it, from the slowest to the fastest. */
enum sha1_form { SHA1_SCALAR, SHA1_INSTRUCTIONS };

/* Writes the digest of data[0..len). */
void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t len);

/* Does it in one chosen form, at most sha1_form_best(), so that the specs see both. */
void sha1_as(enum sha1_form form, uint8_t out[SHA1_BYTES], const void *data, size_t len);

/* The fastest form that this machine has. */
enum sha1_form sha1_form_best(void);
