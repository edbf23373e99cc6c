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

/* Starts a timer that queues EVENT_TIMER after after_seconds and then every every_seconds, or only
 * once when every_seconds is 0. A timer that falls behind fires once, not once for each time it
 * missed. Returns the id, a whole number > 0 that is never used twice; ERR_INVALID when a time is
 * negative, not a number or over thirty years; ERR_LIMIT when TIMERS_MAX run; or ERR_MEMORY. */
double timers_start(struct worker *w, double after_seconds, double every_seconds)
    __attribute__((warn_unused_result));
/* 0, or ERR_NOT_FOUND: it has fired for the last time or was stopped. */
int timers_stop(struct worker *w, double id) __attribute__((warn_unused_result));
