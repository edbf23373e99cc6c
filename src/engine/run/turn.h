/* One turn of a worker's loop: before it sleeps, everything that the turn began is brought to its
 * end. */
#pragma once

#include "engine/worker/worker.h"

/* Prepares the watchers of the turn's end and of the sweep over deadlines; the loop is there. */
void turn_init(struct worker *w);

/* Returns how many connections, timers and other things may still cause an event. */
uint32_t turn_pending(const struct worker *w);
