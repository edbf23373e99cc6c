/* A worker goes from one site to the next, between two events: its connections stay as they are, with
 * what they have read by half and what they have not sent, and belong to the same routes as before. */
#pragma once

#include <ev.h>
#include <stdint.h>

struct worker;

/* What is done with the connections after the switch, some slots at a time, so that no event waits for
 * all of it. */
struct handover_walk {
    ev_timer timer;
    uint32_t at;   /* the next slot */
    uint32_t left; /* slots to look at */
};

struct handover {
    struct handover_walk eager; /* EVENT_RELOAD, as fast as other events let it */
    struct handover_walk gone;  /* 1012, over limits.drain_seconds */
};

/* What a client is told (1012) whose route the next site does not have. */
extern const char handover_gone[];

void handover_init(struct worker *w);

/* w->next becomes w->site, and the script is told (w->commit), when the events that wait were handled.
 * Connections whose route is gone are served as before until their turn to be closed comes. The thread
 * of the worker. */
void handover(struct worker *w);
