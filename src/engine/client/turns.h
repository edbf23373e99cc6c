/* One connection at a time to each address and port (RFC 6455 §4.1, 2): who asks while another has
 * the turn waits in line, first come, first served, whichever worker it is of. The first has it from
 * before it connects until it is open or has failed. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "transport/tcp.h"

struct turn_line;

struct turn_list {
    struct turn *first;
    struct turn *last;
};

/* Of the process. The lock guards all of this file but turn.held; it is taken twice for each
 * connection that a script opens, and never for a message. */
struct turns {
    pthread_mutex_t lock;
    struct map lines; /* by address and port; only while somebody has the turn */
    uint32_t waiting; /* in all lines */
};

/* Of a worker: turns that have come, and that the worker was not told of yet. */
struct turn_desk {
    struct turns *turns;
    struct ev_loop *loop;
    struct turn_list called;
    uint32_t called_count;
    ev_async wake;
};

enum turn_state { TURN_NONE, TURN_WAITS, TURN_CALLED, TURN_HELD };

/* Of one attempt to connect. All zero but for called is ready. */
struct turn {
    void (*called)(struct turn *t); /* in the desk's loop: from now on it is held */
    struct turn_desk *desk;
    struct turn_line *line;
    struct turn *next; /* in line, or called */
    struct turn *before;
    uint8_t state; /* enum turn_state */
    bool held;     /* as the desk's worker knows it */
};

void turns_init(struct turns *all);
/* Nobody has a turn or waits. */
void turns_deinit(struct turns *all);

void turn_desk_init(struct turn_desk *d, struct turns *all, struct ev_loop *loop);
/* Before the loop is destroyed, when no turn is left. Also for one that is all zero. */
void turn_desk_deinit(struct turn_desk *d);

/* 1: it is held at once. 0: it waits, and t->called is called when it is held. ERR_LIMIT: so many
 * wait already, waiting_max, in all lines; ERR_MEMORY. */
int turn_take(struct turn *t, struct turn_desk *d, const struct address *to, uint32_t waiting_max)
    __attribute__((warn_unused_result));
/* Gives it to the next in line, or leaves the line; t->called is not called any more. Also for one
 * that is neither held nor waits. */
void turn_leave(struct turn *t);
