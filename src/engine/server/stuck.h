/* Workers that are stuck: that have not looked at their loop for a second, since a hook, or what it
 * has called, does not return. They get no new connections meanwhile (accept.c).
 *
 * One that is stuck for limits.stuck_seconds is given up. Its thread can be neither stopped nor
 * left alone, since whatever runs there may hold a lock of the C library. So the others are
 * drained, and the process ends with a status upon which a supervisor starts it again. Clients come
 * back to the new one; those of the stuck worker lose their connections when the process ends. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct server;

struct stuck {
    struct server *server;
    ev_timer look;
    uint64_t told[4]; /* a bit for each worker: it is counted */
    bool gave_up;
};

/* Looks every half second, in the main thread's loop, which must not run yet. */
void stuck_begin(struct stuck *s, struct server *server);
void stuck_end(struct stuck *s);
