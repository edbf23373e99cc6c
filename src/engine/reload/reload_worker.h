/* A reload in one worker: letters ask, answers come back in the round. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/ground/mailbox.h"
#include "engine/reload/sources.h"
#include "engine/run/pauses.h"

struct site;

enum { RELOAD_WHY_BYTES = 2048 }; /* with an excerpt of the source */

/* What one worker says of the attempt. */
struct reload_answer {
    int status; /* 0, or an error */
    const struct site *site;
    char why[RELOAD_WHY_BYTES];
    uint64_t began_us; /* of the switch */
    uint64_t ended_us;
    struct pauses pauses;
};

/* What a commit tells the script. */
struct reload_facts {
    const char *taken_back; /* a rollback: why; NULL: it is a reload */
    bool failed_probation;  /* the generation before it failed: nobody goes back to that one */
};

/* The attempt under way, as the workers see it; it outlives their threads. */
struct reload_round {
    struct ev_loop *loop;    /* the asker's */
    ev_async wake;           /* in it: the last answer may have come */
    pthread_mutex_t lock;    /* for the next three */
    uint32_t number;         /* of the attempt that is answered */
    uint32_t missing;        /* answers */
    struct sources *sources; /* of the attempt, or of one before that nobody waits for; or NULL */
    struct reload_answer *answers; /* by worker; each writes its own, until the last has answered */
    struct reload_facts facts;     /* stay as they are while workers commit */
};

/* Each makes a letter about an attempt; NULL: out of memory. */
typedef struct letter *reload_letter_maker(struct reload_round *round, uint32_t number);

/* Loads the app into a site of its own, and answers. number: of the attempt. */
reload_letter_maker reload_prepare_letter;
/* Declares what the generation before had declared into a site of its own, and answers. */
reload_letter_maker reload_restore_letter;
/* The prepared site serves, as this generation (number), when the events that wait were handled; then
 * answers. */
reload_letter_maker reload_commit_letter;
/* Forgets what was prepared, wholly or by half. No answer. */
reload_letter_maker reload_abandon_letter;
