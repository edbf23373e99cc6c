/* What a connection holds beyond what an idle one costs: parts of messages, windows of compression,
 * output that the system has not taken, bodies, what waits in the script.
 *
 * Call conn_account wherever a connection may have begun or ceased to hold something; that is never
 * on the way of a message that comes and goes whole. */
#pragma once

#include <stdbool.h>

#include "engine/conn/conn_slots.h"
#include "engine/worker/worker.h"

/* Counts again what the connection holds, among what its worker holds. */
void conn_account(struct worker *w, struct conn *c);

/* Has the worker grown so much that it is time to look at what all hold (conn_relief.h)? */
static inline bool conn_account_grew(const struct worker *w)
{
    return w->memory.grown >= w->memory.step;
}
