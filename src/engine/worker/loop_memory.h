/* Memory of the event loops. libev ends the process when it gets none, so a reserve is kept for it,
 * and while the reserve is used up no more timers are started. */
#pragma once

#include <stdbool.h>

/* The largest array of a loop, that of TIMERS_MAX timers, and as much again for all others. */
enum { LOOP_MEMORY_RESERVE = 8 * 1024 * 1024 };

/* Once in the process, before any loop is made. 0 or ERR_MEMORY. */
int loop_memory_init(void) __attribute__((warn_unused_result));
/* Is the reserve there? Tries to fill it up again. From any thread. */
bool loop_memory_ready(void);
