/* May this peer connect? Counts the connections of the process, in all and by address, against the
 * limits of the app that serves. Every function may be called from any thread, but for init and
 * deinit. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/map.h"
#include "transport/tcp.h"

struct admission {
    pthread_mutex_t lock;
    struct limits limits; /* of the app that serves */
    uint32_t connections;
    struct map by_address; /* how many a stranger has (address_stranger) */
};

void admission_init(struct admission *a);
void admission_deinit(struct admission *a);

/* The limits of the app that serves from now on. */
void admission_set_limits(struct admission *a, const struct limits *limits);
/* Returns a copy of them. */
struct limits admission_limits(struct admission *a);

/* Returns NULL and counts the peer, which admission_release undoes; or the name of the limit that
 * forbids it. A peer whose address is unknown counts among all connections only; of IPv6 all
 * addresses of a /64 count as one. */
const char *admission_admit(struct admission *a, const struct address *peer)
    __attribute__((warn_unused_result));
/* A peer that was admitted while its address was unknown has this one. Returns NULL: it is released
 * with it from now on; or the name of the limit that forbids it: its address is unknown still. */
const char *admission_know(struct admission *a, const struct address *peer)
    __attribute__((warn_unused_result));
void admission_release(struct admission *a, const struct address *peer);
