/* Timers of the script: libev keeps their order, and the script names them by ids. */
#pragma once

#include <stdint.h>

struct worker;
struct timer;

enum { TIMERS_MAX = 100000 }; /* most that run at once in one worker */

struct timers {
    struct timer **slots;
    uint32_t count; /* slots that were ever used */
    uint32_t cap;
    uint32_t free; /* the first free slot + 1; 0 when there is none */
    uint32_t running;
};

/* NULL: out of memory. */
struct timers *timers_new(void) __attribute__((warn_unused_result));
/* Stops all timers and frees w->timers. The loop must still be there. */
void timers_free(struct worker *w);

/* Queues EVENT_TIMER in after_seconds, and then every every_seconds (0: once). Returns the timer's id, a
 * whole number > 0 that is never used twice; ERR_INVALID (negative, not a number, over thirty years),
 * ERR_LIMIT (TIMERS_MAX run) or ERR_MEMORY. A timer that falls behind fires once, not once for each
 * time it missed. */
double timers_start(struct worker *w, double after_seconds, double every_seconds);
/* 0, or ERR_NOT_FOUND: it has fired for the last time or was stopped. */
int timers_stop(struct worker *w, double id) __attribute__((warn_unused_result));
