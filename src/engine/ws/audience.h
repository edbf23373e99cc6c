/* Which workers have subscribers of a topic, so that a message is posted to those and to no other.
 *
 * There is one audience for each topic that some worker holds: because it has subscribers, or because
 * it publishes to it. Taking hold and letting go need the lock of all audiences; reading one needs
 * none, so a publish takes no lock to learn that nobody else listens.
 *
 * A worker's bit is set before its first subscription is reported as made, and is taken away after its
 * last one is gone. Whoever has heard of a subscription, through a socket, a mailbox or shared memory,
 * heard of it through a lock of ours or of the kernel's, and so sees the bit. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

enum {
    AUDIENCE_WORKERS_MAX = 256,
    AUDIENCE_ALIGNMENT = 64 /* a cache line: changing one audience slows nobody who reads another */
};

struct audiences {
    pthread_mutex_t lock;
    struct map by_name;
};

struct audience {
    _Atomic uint64_t workers[AUDIENCE_WORKERS_MAX / 64]; /* a bit for each */
    uint32_t holders;                                    /* under the lock */
    uint32_t name_len;
    char name[];
};

void audiences_init(struct audiences *all);
/* When none is held any more. */
void audiences_deinit(struct audiences *all);

/* The functions below are called in any worker's thread. */

/* Takes hold of the topic's audience; audience_release lets go. NULL when out of memory. */
struct audience *audience_hold(struct audiences *all, const char *name, size_t len)
    __attribute__((warn_unused_result));
/* a may be NULL. */
void audience_release(struct audiences *all, struct audience *a);

/* This worker has subscribers from now on; it has none any more. */
void audience_join(struct audience *a, uint32_t worker);
void audience_leave(struct audience *a, uint32_t worker);
/* The first worker with subscribers from this index on, or AUDIENCE_WORKERS_MAX. */
uint32_t audience_next(const struct audience *a, uint32_t from);
