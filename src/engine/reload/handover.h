/* A worker goes from one site to the next, between two events: its connections stay as they are, with
 * what they have read by half and what they have not sent, and belong to the same routes as before.
 *
 * What has to be done for every connection is done afterwards, in slices that are cut by the clock, with
 * the events of others between them. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/reload/pauses.h"

struct worker;

enum { HANDOVER_SLICE_US = 1000 }; /* it ends behind what is under way then: one hook, or less */

/* Goes over all slots, once. */
struct handover_walk {
    ev_timer timer;
    uint32_t at;   /* the next slot */
    uint32_t left; /* slots to look at */
    /* Of one that is paced: slots that are due, and when more will be. */
    uint32_t due;
    ev_tstamp next_share;
};

struct handover {
    struct handover_walk eager; /* EVENT_RELOAD, as fast as other events let it */
    struct handover_walk gone;  /* 1012, over limits.drain_seconds */
    ev_timer tidy;              /* w->tidy, while there is anything */
    struct pause_clock pauses;
};

/* What a client is told (1012) whose route the next site does not have. */
extern const char handover_gone[];

void handover_init(struct worker *w);

/* w->next becomes w->site, and the script is told (w->commit), when the events that wait were handled.
 * Connections whose route is gone are served as before until their turn to be closed comes. The thread
 * of the worker. */
void handover(struct worker *w);

/* The app was loaded: w->tidy is called from now on, until nothing is left. */
void handover_tidy(struct worker *w);

/* A piece of a reload, as engine/reload/pauses.h has it. */
void handover_piece_begin(struct worker *w);
void handover_piece_end(struct worker *w, enum pause_kind kind);
/* It has lasted as long as a slice may. */
bool handover_slice_over(const struct worker *w);
