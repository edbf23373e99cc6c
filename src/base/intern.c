/* Keeps counted strings in a hash table with a list for each bucket. */
#include "base/intern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

enum { INTERN_CAP_MIN = 16 };

struct interned {
    struct interned *next; /* in its bucket */
    uint32_t hash;
    uint32_t references;
    size_t len;
    uint8_t data[];
};

void intern_init(struct intern *t)
{
    *t = (struct intern){.seed = hash_seed()};
}

void intern_deinit(struct intern *t)
{
    assert(t->count == 0);
    free(t->buckets);
    *t = (struct intern){.seed = t->seed};
}

static struct interned **bucket_of(const struct intern *t, uint32_t hash)
{
    return &t->buckets[hash & (t->cap - 1)];
}

static void put(struct intern *t, struct interned *s)
{
    struct interned **bucket = bucket_of(t, s->hash);
    s->next = *bucket;
    *bucket = s;
}

/* Keeps at least as many buckets as strings, so that most hold one or two. */
static int grow(struct intern *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : INTERN_CAP_MIN;
    struct intern more = {.cap = cap, .buckets = calloc(cap, sizeof(struct interned *))};
    if (!more.buckets)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < t->cap; i++) {
        struct interned *next;
        for (struct interned *s = t->buckets[i]; s; s = next) {
            next = s->next;
            put(&more, s);
        }
    }
    free(t->buckets);
    t->buckets = more.buckets;
    t->cap = cap;
    return 0;
}

static struct interned *find(const struct intern *t, uint32_t hash, const void *data, size_t len)
{
    for (struct interned *s = *bucket_of(t, hash); s; s = s->next)
        if (s->hash == hash && s->len == len && (len == 0 || memcmp(s->data, data, len) == 0))
            return s;
    return NULL;
}

static struct interned *make(struct intern *t, uint32_t hash, const void *data, size_t len)
{
    struct interned *s = malloc(sizeof(*s) + len);
    if (!s)
        return NULL;
    *s = (struct interned){.hash = hash, .len = len};
    if (len)
        memcpy(s->data, data, len);
    put(t, s);
    t->count++;
    return s;
}

const void *intern_take(struct intern *t, const void *data, size_t len)
{
    if (t->count == t->cap && grow(t) < 0)
        return NULL;
    uint32_t hash = hash_bytes(t->seed, data, len);
    struct interned *s = find(t, hash, data, len);
    if (!s)
        s = make(t, hash, data, len);
    if (!s)
        return NULL;
    s->references++;
    return s->data;
}

void intern_give(struct intern *t, const void *copy)
{
    if (!copy)
        return;
    struct interned *s = (struct interned *)((uintptr_t)copy - offsetof(struct interned, data));
    assert(s->references > 0);
    if (--s->references > 0)
        return;
    struct interned **link = bucket_of(t, s->hash);
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    t->count--;
    free(s);
}
