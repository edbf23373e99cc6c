/* Small blocks for a single thread. The caller tells a block's size again when it frees it, so a
 * block has no header and is rounded up to 8 bytes only: where the C library takes 80 bytes for an
 * empty Lua table and 32 for a hash of one entry, the pool takes 64 and 24, in fewer instructions.
 *
 * A freed block is used again for blocks of its size. Chunks are freed with the pool. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    POOL_BLOCK_MAX = 256, /* larger blocks are the C library's */
    POOL_GRAIN = 8,
    POOL_CHUNK_BYTES = 16 * 1024
};

struct pool_chunk;
struct pool_block;

struct pool {
    struct pool_block *free[POOL_BLOCK_MAX / POOL_GRAIN]; /* by size */
    uint8_t *at; /* the rest of the newest chunk, up to `end` */
    uint8_t *end;
    struct pool_chunk *chunks;
};

/* All zero is an empty pool. Frees the chunks. */
void pool_deinit(struct pool *p);

/* Does what realloc does: a NULL block gets a new one, and size 0 frees the block and returns NULL.
 * old_size must be the size that the block was last asked for. Blocks are aligned to 8 bytes.
 * Returns NULL when out of memory: the block is then as it was. */
void *pool_realloc(struct pool *p, void *block, size_t old_size, size_t size);
