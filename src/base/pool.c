/* Cuts chunks into blocks, and keeps freed ones in a list for each size. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Under a sanitizer each block is the C library's, so that it sees each misuse. */
#if defined(__SANITIZE_ADDRESS__)
#define POOL_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_OFF 1
#endif
#endif
#ifndef POOL_OFF
#define POOL_OFF 0
#endif

struct pool_block {
    struct pool_block *next;
};

struct pool_chunk {
    struct pool_chunk *next;
    uint8_t bytes[POOL_CHUNK_BYTES - sizeof(struct pool_chunk *)];
};

void pool_deinit(struct pool *p)
{
    while (p->chunks) {
        struct pool_chunk *c = p->chunks;
        p->chunks = c->next;
        free(c);
    }
    *p = (struct pool){0};
}

static bool is_small(size_t size)
{
    return size <= POOL_BLOCK_MAX && !POOL_OFF;
}

static size_t class_of(size_t size)
{
    return (size - 1) / POOL_GRAIN;
}

static void give(struct pool *p, void *block, size_t class)
{
    struct pool_block *b = block;
    b->next = p->free[class];
    p->free[class] = b;
}

/* The rest of the chunk before becomes a block. */
static bool add_chunk(struct pool *p)
{
    struct pool_chunk *c = malloc(sizeof(*c));
    if (!c)
        return false;
    if (p->at < p->end)
        give(p, p->at, class_of((size_t)(p->end - p->at)));
    c->next = p->chunks;
    p->chunks = c;
    p->at = c->bytes;
    p->end = c->bytes + sizeof(c->bytes);
    return true;
}

static void *take(struct pool *p, size_t class)
{
    struct pool_block *b = p->free[class];
    if (b) {
        p->free[class] = b->next;
        return b;
    }
    size_t size = (class + 1) * POOL_GRAIN;
    if ((size_t)(p->end - p->at) < size && !add_chunk(p))
        return NULL;
    void *block = p->at;
    p->at += size;
    return block;
}

/* Moves a block between two small sizes, or between small and large. */
static void *move(struct pool *p, void *block, size_t old_size, size_t size)
{
    void *to = is_small(size) ? take(p, class_of(size)) : malloc(size);
    if (!to)
        return NULL;
    memcpy(to, block, old_size < size ? old_size : size);
    if (is_small(old_size))
        give(p, block, class_of(old_size));
    else
        free(block);
    return to;
}

void *pool_realloc(struct pool *p, void *block, size_t old_size, size_t size)
{
    if (!block)
        return size == 0 ? NULL : is_small(size) ? take(p, class_of(size)) : malloc(size);
    if (size == 0) {
        if (is_small(old_size))
            give(p, block, class_of(old_size));
        else
            free(block);
        return NULL;
    }
    if (!is_small(old_size) && !is_small(size))
        return realloc(block, size);
    if (is_small(old_size) && is_small(size) && class_of(old_size) == class_of(size))
        return block;
    return move(p, block, old_size, size);
}
