/* A hash of bytes (SipHash-1-3): nobody who does not know the seed can choose bytes that
 * collide. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A random seed. */
uint64_t hash_seed(void);

/* The hash of data[0..len). */
uint32_t hash_bytes(uint64_t seed, const void *data, size_t len);
