/* For how long a thread has been at work without looking for what else there is to do: since its
 * loop woke last. Its own thread writes the pulse, twice a turn and whatever happens in it; any
 * thread may read it. */
#pragma once

#include <stdint.h>

enum {
    /* Who is busy for so long is stuck: it gets no connections (engine/server/accept.c), counts
     * (stuck.c), and the log says what runs there (script/watchdog.c). */
    PULSE_STUCK_MS = 1000
};

struct pulse {
    _Atomic uint64_t busy_since_ms; /* by clock_monotonic_ms; 0: the loop sleeps */
};

/* The loop has woken. */
void pulse_wake(struct pulse *p);
/* All is done, and the loop goes to sleep. */
void pulse_sleep(struct pulse *p);

/* How long the turn lasts by now; 0 while the loop sleeps. now_ms: of clock_monotonic_ms. */
uint64_t pulse_busy_ms(const struct pulse *p, uint64_t now_ms);
