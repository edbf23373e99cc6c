/* Is new code worse than the code before it? Judges the failures of the generation that serves:
 * hooks, handlers, timers and tasks that raised. Each new generation is on probation for some
 * seconds. Pure: the caller passes the time, and acts on the answer.
 *
 * Who can make a hook raise must not be able to take every deploy back, a security fix included. So
 * new code fails its probation only with failures
 * - of ways (what failed, with which error) that the code before it did not show,
 * - of enough strangers: one failure of each counts (transport/address.h); and each of the app's
 *   own doing, such as a timer of its top level,
 * - that are a good share of what happened, unless enough of them are its own doing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum {
    PROBATION_WAYS = 128,       /* of failing that are remembered of a generation, the latest */
    PROBATION_EVENTS_EACH = 10, /* one failure in so many events is a good share */
    PROBATION_STRANGERS = LIMITS_PROBATION_FAILURES_MAX
};

/* Something that failed, as hashes. */
struct probation_failure {
    uint32_t way;      /* of probation_way */
    uint32_t stranger; /* whose event it was; 0: not known whose, and all such are one */
    bool own;          /* of nobody's event: the app's own doing */
};

struct probation_ways {
    uint32_t count; /* that there ever were: the place of the next, modulo its size */
    uint32_t ways[PROBATION_WAYS];
};

struct probation {
    uint32_t generation; /* that serves */
    bool open;           /* it is on probation */
    bool failed;         /* it has failed its probation */
    uint32_t seconds;    /* how long the probation lasts */
    uint32_t least;      /* fewer failures that count never fail it */
    uint64_t began_ms;
    uint64_t events_before;       /* of the process, when it began */
    uint32_t failures;            /* of this generation in its probation, and of these: */
    uint32_t known;               /* of ways that the code before it showed: they do not count */
    uint32_t own;                 /* of its own doing */
    uint32_t of_strangers;        /* the others, of */
    uint32_t stranger_count;      /* so many strangers, of whom at most PROBATION_STRANGERS count */
    struct probation_ways before; /* that the code before it showed */
    struct probation_ways shown;  /* by this generation */
    uint32_t strangers[PROBATION_STRANGERS];
};

/* What tells one way of failing from another: a hash of a failure's first line, without its
 * numbers, since an edit moves lines. text: "on_message of /chat failed: chat.lua:12: …". */
uint32_t probation_way(uint64_t seed, const char *text, size_t len);

/* The first generation: there is none to compare it with. */
void probation_init(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Another generation takes over. seconds: at most LIMITS_PROBATION_SECONDS_MAX; 0: it is not on
 * probation. least: 1 to LIMITS_PROBATION_FAILURES_MAX. events: what the process has handled so
 * far. It is compared with what served at least as long as its probation is, and all that served
 * after that; never with what failed its own probation. */
void probation_begin(struct probation *p, uint32_t generation, uint32_t seconds, uint32_t least,
                     uint64_t events, uint64_t now_ms);
/* The generation that serves is taken back; the code before it goes on, not on probation. How that
 * failed is forgotten: nothing is compared with it. */
void probation_take_back(struct probation *p, uint32_t generation, uint64_t now_ms);
/* Something of a generation failed. events: what the process has handled so far. Returns true,
 * once, when with that it has failed its probation. Only failures of the generation that serves
 * count. */
bool probation_note(struct probation *p, uint32_t generation, const struct probation_failure *f,
                    uint64_t events, uint64_t now_ms);
/* Is it still open at this time? */
bool probation_is_open(const struct probation *p, uint64_t now_ms);
/* The failures that count: those of its own doing, and one of each stranger. */
uint32_t probation_counted(const struct probation *p);
