/* A hash map from byte strings, which it copies, to pointers. Each map has a random seed, so that a
 * peer who chooses keys cannot choose collisions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    char *key; /* with a NUL behind it; NULL in a free entry */
    uint32_t key_len;
    uint32_t hash;
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t count;
    size_t cap; /* 0 or a power of two */
    uint64_t seed;
};

void map_init(struct map *m);
/* Frees keys and table; the values are the caller's. */
void map_deinit(struct map *m);
/* The value, or NULL. */
void *map_get(const struct map *m, const void *key, size_t len);
/* Sets the value, which is not NULL. 0 or ERR_MEMORY. */
int map_put(struct map *m, const void *key, size_t len, void *value)
    __attribute__((warn_unused_result));
/* Removes the key and returns its value, or NULL. */
void *map_remove(struct map *m, const void *key, size_t len);
/* Iterates: begin with *at = 0. False at the end. The map must not change meanwhile. */
bool map_next(const struct map *m, size_t *at, struct map_entry *out);
