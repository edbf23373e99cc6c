/* Small blocks for a single thread, from chunks. Who frees one says its size again, so a block has no
 * header and is rounded up to 8 bytes only: where the C library takes 80 bytes for an empty Lua table
 * and 32 for a hash of one entry, this takes 64 and 24, in fewer instructions.
 *
 * A freed block is used again for blocks of its size; chunks go when the pool does. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    POOL_BLOCK_MAX = 256, /* larger ones are the C library's */
    POOL_GRAIN = 8,
    POOL_CHUNK_BYTES = 16 * 1024
};

struct pool_chunk;
struct pool_block;

struct pool {
    struct pool_block *free[POOL_BLOCK_MAX / POOL_GRAIN]; /* by size */
    uint8_t *at;                                          /* what is left of the newest chunk */
    uint8_t *end;
    struct pool_chunk *chunks;
};

/* All zero is an empty pool. */
void pool_deinit(struct pool *p);

/* As realloc (block NULL: a new one; size 0: frees it and gives NULL), but that old_size must be the
 * size that the block was last asked for. Aligned to 8 bytes. NULL: out of memory; the block is then
 * as it was. */
void *pool_realloc(struct pool *p, void *block, size_t old_size, size_t size);
