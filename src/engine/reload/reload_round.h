/* What the main thread and the workers share of an attempt: the main thread asks all of them, by
 * letters, and each answers once, from its own thread. Answers to an attempt that is over come too
 * late and are dropped. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/ground/site.h"
#include "engine/reload/reload_requests.h"
#include "engine/reload/sources.h"
#include "engine/run/pauses.h"

/* What a commit tells the script. */
struct reload_facts {
    const char *taken_back; /* a rollback: why it was wanted; NULL: new code was loaded */
    bool failed_probation; /* what serves until now has failed its probation: never go back to it */
};

struct reload_answer {
    int status; /* 0, or an error */
    const struct site *site;
    char why[RELOAD_WHY_BYTES];
    uint64_t began_us; /* of the switch */
    uint64_t ended_us;
    struct pauses pauses;
};

struct reload_round {
    struct ev_loop *loop;
    ev_async *wake; /* the main thread's, for each answer */
    uint32_t workers;
    /* By worker. Each writes its own; the main thread reads them when none is missing. */
    struct reload_answer *answers;
    /* They stay as they are while workers commit. */
    struct reload_facts facts;
    /* Of this attempt or an earlier one, or NULL. The main thread changes it, under the lock, and
     * reads it without. */
    struct sources *sources;

    pthread_mutex_t lock;
    struct {
        uint32_t number; /* of the attempt that is answered */
        uint32_t missing;
    } locked;
};

/* ---- the main thread's ---- */

/* 0 or ERR_MEMORY; reload_round_deinit is due in either case. */
int reload_round_init(struct reload_round *r, uint32_t workers, struct ev_loop *loop,
                      ev_async *wake) __attribute__((warn_unused_result));
/* After the workers' threads have ended. */
void reload_round_deinit(struct reload_round *r);
/* A new attempt begins: all answers are missing. Returns its number. */
uint32_t reload_round_begin(struct reload_round *r);
/* The workers are asked once more in the same attempt, to commit: all answers are missing. */
void reload_round_again(struct reload_round *r);
/* The attempt is over: answers that are still missing come too late. */
void reload_round_end(struct reload_round *r);
bool reload_round_complete(struct reload_round *r);
/* What reload_round_sources finds from now on; drops the set before. Takes over the caller's
 * reference; s may be NULL. */
void reload_round_set_sources(struct reload_round *r, struct sources *s);

/* ---- a worker's ---- */

/* The files that were read for this attempt, with a reference for the caller; or NULL. */
struct sources *reload_round_sources(struct reload_round *r, uint32_t number);
/* Answers the attempt of this number. status: 0, or an error with why; site is the worker's, and
 * may be read until it is told to commit or to forget it. */
void reload_round_answer(struct reload_round *r, uint32_t worker, uint32_t number, int status,
                         const struct site *site, const char *why);
/* The worker has committed; its answer's times were written before. */
void reload_round_committed(struct reload_round *r);
