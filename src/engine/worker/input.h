/* A descriptor that the script reads itself, such as standard input. */
#pragma once

struct worker;

/* Queues one EVENT_INPUT when fd can be read without blocking or is at its end; call it again for
 * the next one. Until then it counts as pending, so that a script without listeners goes on. fd
 * stays the caller's, and must be open until the event or input_stop. 0, or ERR_LIMIT: the worker
 * waits for a descriptor already. */
int input_wait(struct worker *w, int fd) __attribute__((warn_unused_result));
/* Stops waiting, if it does. */
void input_stop(struct worker *w);
