/* Audiences by the names of their topics, and the bits of their workers. */
#include "engine/ws/audience.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void audiences_init(struct audiences *all)
{
    pthread_mutex_init(&all->lock, NULL);
    map_init(&all->by_name);
}

void audiences_deinit(struct audiences *all)
{
    assert(all->by_name.count == 0);
    map_deinit(&all->by_name);
    pthread_mutex_destroy(&all->lock);
}

static struct audience *audience_new(const char *name, size_t len)
{
    size_t size = sizeof(struct audience) + len;
    size = (size + AUDIENCE_ALIGNMENT - 1) / AUDIENCE_ALIGNMENT * AUDIENCE_ALIGNMENT;
    struct audience *a = aligned_alloc(AUDIENCE_ALIGNMENT, size);
    if (!a)
        return NULL;
    memset(a, 0, sizeof(*a));
    a->name_len = (uint32_t)len;
    if (len)
        memcpy(a->name, name, len);
    return a;
}

static struct audience *hold_locked(struct audiences *all, const char *name, size_t len)
{
    struct audience *a = map_get(&all->by_name, name, len);
    if (!a) {
        a = audience_new(name, len);
        if (!a || map_put(&all->by_name, name, len, a) < 0) {
            free(a);
            return NULL;
        }
    }
    a->holders++;
    return a;
}

struct audience *audience_hold(struct audiences *all, const char *name, size_t len)
{
    pthread_mutex_lock(&all->lock);
    struct audience *a = hold_locked(all, name, len);
    pthread_mutex_unlock(&all->lock);
    return a;
}

void audience_release(struct audiences *all, struct audience *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&all->lock);
    bool last = --a->holders == 0;
    if (last)
        (void)map_remove(&all->by_name, a->name, a->name_len);
    pthread_mutex_unlock(&all->lock);
    if (last)
        free(a);
}

void audience_join(struct audience *a, uint32_t worker)
{
    atomic_fetch_or(&a->workers[worker / 64], (uint64_t)1 << worker % 64);
}

void audience_leave(struct audience *a, uint32_t worker)
{
    atomic_fetch_and(&a->workers[worker / 64], ~((uint64_t)1 << worker % 64));
}

uint32_t audience_next(const struct audience *a, uint32_t from)
{
    while (from < AUDIENCE_WORKERS_MAX) {
        uint64_t bits = atomic_load(&a->workers[from / 64]) >> from % 64;
        if (bits)
            return from + (uint32_t)__builtin_ctzll(bits);
        from = (from / 64 + 1) * 64;
    }
    return AUDIENCE_WORKERS_MAX;
}

/* ---- of topics that a worker only publishes to ---------------------------------------------- */

void audience_cache_init(struct audience_cache *c)
{
    *c = (struct audience_cache){0};
    map_init(&c->by_name);
}

void audience_cache_clear(struct audience_cache *c, struct audiences *all)
{
    struct map_entry e;
    for (size_t at = 0; map_next(&c->by_name, &at, &e);)
        audience_release(all, e.value);
    map_deinit(&c->by_name);
    c->bytes = 0;
}

struct audience *audience_cache_find(struct audience_cache *c, struct audiences *all,
                                     const char *name, size_t len)
{
    struct audience *a = map_get(&c->by_name, name, len);
    if (a)
        return a;
    if (c->by_name.count == AUDIENCE_CACHE_MAX || c->bytes + len > AUDIENCE_CACHE_BYTES)
        audience_cache_clear(c, all);
    a = audience_hold(all, name, len);
    if (!a)
        return NULL;
    if (map_put(&c->by_name, name, len, a) < 0) {
        audience_release(all, a);
        return NULL;
    }
    c->bytes += len;
    return a;
}
