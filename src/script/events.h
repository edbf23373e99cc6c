/* The way of a batch of events into Lua, and questions to the script of a worker. All are functions
 * of struct script_ops in engine/worker/worker.h, which take the script as void *. */
#pragma once

#include <stdint.h>

struct buffer;

/* Delivers the events of the worker's batch, which has at least one. An error of a hook is dealt
 * with in Lua; one of the dispatcher itself is logged. */
void script_dispatch(void *script);

/* Appends what the script knows of its generations to out, as JSON for the control socket. Returns
 * 0, ERR_MEMORY, or ERR_INVALID: it does not know, which is logged. */
int script_describe(void *script, struct buffer *out) __attribute__((warn_unused_result));

/* Returns the number of tasks that wait. To be asked when the worker itself has nothing pending;
 * the script may then end the process with a status other than 0. */
uint32_t script_pending(void *script);
