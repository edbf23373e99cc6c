/* Is new code far worse than the code before it? Counts the failures of the generation that serves: hooks,
 * handlers, timers and tasks that raised. Each new generation is on probation for some seconds, measured
 * by what failed in as long a time before it took over. Pure: the time is passed in, and nothing is
 * done about the answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

enum {
    PROBATION_RING = LIMITS_PROBATION_SECONDS_MAX + 1,
    PROBATION_TIMES = 3 /* so many times what failed before, at least */
};

struct probation {
    uint32_t generation; /* that serves */
    bool open;           /* it is on probation */
    bool failed;         /* it has failed it: the one before was better */
    uint32_t seconds;    /* that it lasts */
    uint32_t least;      /* failures that it takes */
    uint64_t began_ms;
    uint32_t failures;             /* while it was on probation */
    uint32_t before;               /* in as many seconds before */
    uint64_t newest;               /* second of the ring */
    uint32_t ring[PROBATION_RING]; /* failures by second, modulo */
};

/* The first generation: there is none to compare it with. */
void probation_init(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Another one takes over. seconds: at most LIMITS_PROBATION_SECONDS_MAX; 0: it is not on probation. least: at
 * least 1. When the one before it has failed its probation, it is compared with what that was. */
void probation_begin(struct probation *p, uint32_t generation, uint32_t seconds, uint32_t least,
                     uint64_t now_ms);
/* The one that serves is taken back: the code before it goes on, which is not on probation. What failed
 * since is no measure for what comes. */
void probation_take_back(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Something of a generation failed. True, once: with this one it has failed its probation. Failures of
 * others than the one that serves do not count. */
bool probation_note(struct probation *p, uint32_t generation, uint64_t now_ms);
