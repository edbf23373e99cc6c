/* The audience of a topic: the workers with subscribers, so that a message is posted to these and
 * to no others.
 *
 * There is one audience for each topic that some worker holds, because it has subscribers or
 * because it publishes to it. Holding and releasing take the lock of all audiences. Reading takes
 * none, so a publish needs no lock to learn that nobody else listens.
 *
 * A worker's bit is set before its first subscription is reported as made, and cleared after its
 * last one is gone. Whoever has heard of a subscription, through a socket, a mailbox or shared
 * memory, has heard of it through a lock of ours or of the kernel's, and therefore sees the bit. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

enum {
    AUDIENCE_WORKERS_MAX = 256,
    AUDIENCE_ALIGNMENT = 64 /* a cache line: who changes one slows nobody who reads another */
};

struct audiences {
    pthread_mutex_t lock;
    struct map by_name;
};

struct audience {
    _Atomic uint64_t workers[AUDIENCE_WORKERS_MAX / 64]; /* one bit for each worker */
    uint32_t holders;                                    /* guarded by the lock */
    uint32_t name_len;
    char name[];
};

void audiences_init(struct audiences *all);
/* No audience may be held any more. */
void audiences_deinit(struct audiences *all);

/* Any thread may call the functions below. */

/* Holds the topic's audience until audience_release. NULL when out of memory. */
struct audience *audience_hold(struct audiences *all, const char *name, size_t len)
    __attribute__((warn_unused_result));
/* a may be NULL. */
void audience_release(struct audiences *all, struct audience *a);

/* Says that the worker has subscribers from now on. */
void audience_join(struct audience *a, uint32_t worker);
/* Says that it has none any more. */
void audience_leave(struct audience *a, uint32_t worker);
/* The first worker from index `from` on that has subscribers, or AUDIENCE_WORKERS_MAX. */
uint32_t audience_next(const struct audience *a, uint32_t from);

/* Audiences that one worker holds though it has no subscribers of them, since it publishes to
 * them: the next message finds its audience without a lock. Bounded by number and by the bytes of
 * their names; beyond that all are forgotten, and asked for again. */
enum { AUDIENCE_CACHE_MAX = 256, AUDIENCE_CACHE_BYTES = 64 * 1024 };

struct audience_cache {
    struct map by_name;
    size_t bytes; /* of the names */
};

void audience_cache_init(struct audience_cache *c);
/* Lets go of all. Also what a cache that is full does; it can be used again. */
void audience_cache_clear(struct audience_cache *c, struct audiences *all);
/* The topic's audience, which the cache holds until it is cleared. NULL: out of memory. */
struct audience *audience_cache_find(struct audience_cache *c, struct audiences *all,
                                     const char *name, size_t len)
    __attribute__((warn_unused_result));
