/* A hash table that probes one entry after the other. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

enum { MAP_CAP_MIN = 8 };

void map_init(struct map *m)
{
    *m = (struct map){.seed = hash_seed()};
}

void map_deinit(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->entries[i].key);
    free(m->entries);
    *m = (struct map){.seed = m->seed};
}

/* The entry of a key, or the free one where it would go. The table is never full. */
static struct map_entry *find(const struct map *m, uint32_t hash, const void *key, size_t len)
{
    for (size_t i = hash;; i++) {
        struct map_entry *e = &m->entries[i & (m->cap - 1)];
        if (!e->key)
            return e;
        if (e->hash == hash && e->key_len == len && (len == 0 || memcmp(e->key, key, len) == 0))
            return e;
    }
}

void *map_get(const struct map *m, const void *key, size_t len)
{
    if (m->count == 0)
        return NULL;
    const struct map_entry *e = find(m, hash_bytes(m->seed, key, len), key, len);
    return e->key ? e->value : NULL;
}

static int grow(struct map *m)
{
    size_t cap = m->cap ? m->cap * 2 : MAP_CAP_MIN;
    struct map_entry *entries = calloc(cap, sizeof(*entries));
    if (!entries)
        return ERR_MEMORY;
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->entries[i].key)
            continue;
        size_t to = m->entries[i].hash & (cap - 1);
        while (entries[to].key)
            to = (to + 1) & (cap - 1);
        entries[to] = m->entries[i];
    }
    free(m->entries);
    m->entries = entries;
    m->cap = cap;
    return 0;
}

int map_put(struct map *m, const void *key, size_t len, void *value)
{
    assert(value);
    if (len >= UINT32_MAX)
        return ERR_MEMORY;
    uint32_t hash = hash_bytes(m->seed, key, len);
    struct map_entry *e = m->cap ? find(m, hash, key, len) : NULL;
    if (e && e->key) {
        e->value = value;
        return 0;
    }
    /* At most three quarters full: probes stay short. */
    if (m->count + 1 > m->cap / 4 * 3) {
        int err = grow(m);
        if (err)
            return err;
        e = find(m, hash, key, len);
    }
    char *copy = malloc(len + 1);
    if (!copy)
        return ERR_MEMORY;
    if (len)
        memcpy(copy, key, len);
    copy[len] = '\0';
    *e = (struct map_entry){copy, (uint32_t)len, hash, value};
    m->count++;
    return 0;
}

/* Fills the hole at i with later entries of the same run, so that no probe ends too soon. Marks of
 * deletion instead would slow a table that lives long. */
static void close_hole(struct map *m, size_t i)
{
    size_t mask = m->cap - 1;
    for (size_t next = (i + 1) & mask; m->entries[next].key; next = (next + 1) & mask) {
        size_t home = m->entries[next].hash & mask;
        /* An entry may move to i only if its home is not between the hole and its place. */
        if (((next - home) & mask) < ((next - i) & mask))
            continue;
        m->entries[i] = m->entries[next];
        i = next;
    }
    m->entries[i] = (struct map_entry){0};
}

void *map_remove(struct map *m, const void *key, size_t len)
{
    if (m->count == 0)
        return NULL;
    struct map_entry *e = find(m, hash_bytes(m->seed, key, len), key, len);
    if (!e->key)
        return NULL;
    void *value = e->value;
    free(e->key);
    close_hole(m, (size_t)(e - m->entries));
    m->count--;
    return value;
}

bool map_next(const struct map *m, size_t *at, struct map_entry *out)
{
    while (*at < m->cap) {
        const struct map_entry *e = &m->entries[(*at)++];
        if (e->key) {
            *out = *e;
            return true;
        }
    }
    return false;
}
