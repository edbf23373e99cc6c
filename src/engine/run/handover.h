/* A worker goes from one site to the next, between two events: its connections stay as they are,
 * with what they have read by half and what they have not sent, and belong to the same routes as
 * before.
 *
 * What has to be done for every connection is done afterwards, in slices that are cut by the
 * clock, with the events of others between them. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/run/pauses.h"

struct reload_facts;
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
    ev_timer tidy;              /* ops->tidy, while there is anything */
    struct pause_clock pauses;
};

/* For w->handover; freed with free(). NULL: out of memory. */
struct handover *handover_new(void) __attribute__((warn_unused_result));

/* Handles the events that wait; then w->next becomes w->site, and the script is told (ops->commit,
 * with the facts). Connections whose route is gone are served as before until they are closed,
 * each at its time. In the worker's thread. */
void handover(struct worker *w, const struct reload_facts *facts);

/* The app was loaded: ops->tidy is called from now on, until nothing is left. */
void handover_tidy(struct worker *w);

/* A piece of a reload, as engine/run/pauses.h has it. */
void handover_piece_begin(struct worker *w);
void handover_piece_end(struct worker *w, enum pause_kind kind);
/* It has lasted as long as a slice may. */
bool handover_slice_over(const struct worker *w);
