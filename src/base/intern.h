/* Byte strings of which equal ones are kept once, counted. A random seed for each table, so that a
 * peer who chooses strings cannot choose collisions. */
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
/* Every string was given back. */
void intern_deinit(struct intern *t);

/* A copy of data, aligned for pointers, which stays until as many intern_give as intern_take were
 * called with it: maybe one that is there already. NULL: out of memory. */
const void *intern_take(struct intern *t, const void *data, size_t len)
    __attribute__((warn_unused_result));
void intern_give(struct intern *t, const void *copy); /* NULL is allowed */
