/* A table of byte strings. Equal ones are kept once, and counted. Each table has a random seed, so
 * that a peer who chooses strings cannot choose collisions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct interned;

struct intern {
    struct interned **buckets;
    uint32_t count; /* different strings */
    uint32_t cap;   /* 0 or a power of two */
    uint64_t seed;
};

void intern_init(struct intern *t);

/* Frees the table. Every string must have been given back. */
void intern_deinit(struct intern *t);

/* Returns a copy of data, aligned for pointers: the one that the table has already, or a new one.
 * It stays until it is given back as often as it was taken. NULL when out of memory. */
const void *intern_take(struct intern *t, const void *data, size_t len)
    __attribute__((warn_unused_result));

void intern_give(struct intern *t, const void *copy); /* copy may be NULL */
