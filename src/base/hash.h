/* A hash of bytes whose collisions nobody can choose who does not know the seed (SipHash-1-3). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A random seed. */
uint64_t hash_seed(void);
uint32_t hash_bytes(uint64_t seed, const void *data, size_t len);
