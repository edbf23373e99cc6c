/* One connection at a time to each address and port (RFC 6455 §4.1, 2): while one is being opened
 * the others wait in a queue, first come, first served, whichever worker they belong to. The first
 * holds its place from before it connects until it is open or has failed. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "transport/tcp.h"

struct connect_queue;

struct connect_places {
    struct connect_place *first;
    struct connect_place *last;
};

/* The queues of the process. The lock guards everything in this file but connect_place.held; it is
 * taken twice for each connection that a script opens, and never for a message. */
struct connect_queues {
    pthread_mutex_t lock;
    struct map by_address; /* and port; an entry lives only while somebody connects */
    uint32_t waiting;      /* in all queues */
};

/* A worker's: places that may connect now and that the worker has not been told of yet. */
struct connect_desk {
    struct connect_queues *queues;
    struct ev_loop *loop;
    struct connect_places called;
    uint32_t called_count;
    ev_async wake;
};

enum connect_place_state { PLACE_NONE, PLACE_WAITS, PLACE_CALLED, PLACE_HELD };

/* The place of one attempt to connect. All zero but for called is ready for use. */
struct connect_place {
    void (*called)(struct connect_place *t); /* in the desk's loop: it is held from now on */
    struct connect_desk *desk;
    struct connect_queue *queue;
    struct connect_place *next; /* in the queue, or among those that are called */
    struct connect_place *before;
    uint8_t state; /* enum connect_place_state */
    bool held;     /* as the desk's worker knows it */
};

void connect_queues_init(struct connect_queues *all);
/* When nobody connects or waits. */
void connect_queues_deinit(struct connect_queues *all);

/* NULL: out of memory. */
struct connect_desk *connect_desk_new(struct connect_queues *all, struct ev_loop *loop)
    __attribute__((warn_unused_result));
/* Before the loop is destroyed, when no place is left. d may be NULL. */
void connect_desk_free(struct connect_desk *d);

/* Returns 1: the place is held at once; 0: it waits, and t->called is called when it is held.
 * ERR_LIMIT: waiting_max places wait already, in all queues; ERR_MEMORY. */
int connect_place_take(struct connect_place *t, struct connect_desk *d, const struct address *to,
                       uint32_t waiting_max) __attribute__((warn_unused_result));
/* Hands the place to the next in the queue, or leaves the queue; t->called is not called any more.
 * Does nothing for a place that is neither held nor waits. */
void connect_place_leave(struct connect_place *t);
