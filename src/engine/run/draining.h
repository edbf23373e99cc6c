/* A server that ends lets its connections go: each as its role says, paced over
 * limits.drain_seconds. */
#pragma once

#include "engine/worker/worker.h"

/* Prepares the timer; the loop is there. */
void draining_init(struct worker *w);

/* Lets all connections go; the loop ends when none is left, or limits.close_seconds after the last
 * was told. Idempotent. In the worker's thread. */
void draining_begin(struct worker *w);
/* Does the same as a letter. NULL: out of memory. */
struct letter *draining_letter(void) __attribute__((warn_unused_result));
