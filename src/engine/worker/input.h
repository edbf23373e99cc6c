/* A descriptor that the script reads itself, such as standard input. */
#pragma once

struct worker;

/* EVENT_INPUT comes once when fd can be read without blocking, or is at its end; to be asked for
 * again then. Keeps a script without listeners alive. 0; ERR_LIMIT: another one is waited for. */
int input_wait(struct worker *w, int fd) __attribute__((warn_unused_result));
void input_stop(struct worker *w);
