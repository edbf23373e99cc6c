/* Is new code far worse than the code before it? Counts the failures of the generation that serves:
 * hooks, handlers, timers and tasks that raised. Each new generation is on probation for some
 * seconds, and is compared with what failed in as long a time before it took over. Pure: the caller
 * passes the time, and acts on the answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

enum {
    PROBATION_RING = LIMITS_PROBATION_SECONDS_MAX + 1,
    PROBATION_TIMES = 3 /* what failed before, times this, is the least that fails a probation */
};

struct probation {
    uint32_t generation; /* that serves */
    bool open;           /* it is on probation */
    bool failed;         /* it has failed its probation */
    uint32_t seconds;    /* how long the probation lasts */
    uint32_t least;      /* fewer failures never fail it */
    uint64_t began_ms;
    uint32_t failures;             /* of this generation in its probation */
    uint32_t before;               /* failures in as many seconds before it */
    uint64_t newest;               /* second that the ring knows */
    uint32_t ring[PROBATION_RING]; /* failures by second, modulo its size */
};

/* The first generation: there is none to compare it with. */
void probation_init(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Another generation takes over. seconds: at most LIMITS_PROBATION_SECONDS_MAX; 0: it is not on
 * probation. least: at least 1. When the generation before has failed its probation, the new one is
 * compared with what that one was compared with. */
void probation_begin(struct probation *p, uint32_t generation, uint32_t seconds, uint32_t least,
                     uint64_t now_ms);
/* The generation that serves is taken back; the code before it goes on, not on probation. The
 * failures since are forgotten: nothing is compared with them. */
void probation_take_back(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Something of a generation failed. Returns true, once, when with that it has failed its probation.
 * Only failures of the generation that serves count. */
bool probation_note(struct probation *p, uint32_t generation, uint64_t now_ms);
