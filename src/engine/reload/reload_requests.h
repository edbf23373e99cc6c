/* What other threads tell the reload: somebody asks for a reload or a rollback, or something of the
 * generation that serves has failed. It is kept here, under a lock, until the main thread takes it,
 * in the order of asking. The rules are told in reload.h. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "engine/reload/probation.h"
#include "transport/address.h"

/* Texts, with the NUL. */
enum {
    RELOAD_CAUSE_BYTES = 32,
    RELOAD_WHY_BYTES = 2048,  /* why an attempt failed, with an excerpt of the source */
    RELOAD_TRACE_BYTES = 4096 /* a failure of a hook, with its traceback */
};

enum reload_kind { RELOAD_LOAD, RELOAD_BACK, RELOAD_KINDS };

/* An attempt that is asked for. */
struct reload_wish {
    bool wanted;
    bool by_itself;  /* RELOAD_BACK: probation asks for it, nobody else */
    uint32_t ticket; /* grows in the order of asking */
    uint32_t from;   /* the generation that served when it was asked for */
    uint64_t since_us;
    char cause[RELOAD_CAUSE_BYTES];
};

/* Something that failed. */
struct reload_failure {
    uint32_t generation;
    bool own;                   /* of nobody's event: a timer of the top level, say */
    const struct address *peer; /* whose event it was; NULL: not known */
    const char *text;           /* what and why, with the traceback */
    size_t len;
};

struct reload_requests {
    uint64_t seed; /* of hashes */
    /* Which serves. The main thread changes it, under the lock, and reads it without. */
    uint32_t generation;
    pthread_mutex_t lock;
    struct {
        struct reload_wish wishes[RELOAD_KINDS]; /* one of each kind at most */
        uint32_t last_ticket;
        uint32_t rollback_ticket; /* of the rollback that is under way; 0: none is */
        struct probation probation;
        uint64_t events;       /* in the probation that has failed */
        bool failed_probation; /* what serves has, and its rollback is not asked for yet */
        char first_failure[RELOAD_TRACE_BYTES]; /* in the probation, of those that count */
    } locked;
};

void reload_requests_init(struct reload_requests *q);
void reload_requests_deinit(struct reload_requests *q);

/* ---- from any thread; the main thread is to be woken afterwards ---- */

/* Asks for a reload, for a cause that is known since then. Returns the ticket. */
uint32_t reload_requests_load(struct reload_requests *q, const char *cause, uint64_t since_us);
/* Asks for a rollback instead of probation, or joins the one that is under way. Returns the
 * ticket. */
uint32_t reload_requests_rollback(struct reload_requests *q, const char *cause);
/* Something failed. events: what the process has handled so far. Returns true when with that the
 * generation that serves has failed its probation. */
bool reload_requests_failed(struct reload_requests *q, const struct reload_failure *f,
                            uint64_t events);

/* ---- the main thread's ---- */

/* Asks for the rollback of a generation that has failed its probation, unless somebody has asked
 * for one. why, of size bytes, says why it is wanted; it is unchanged when nothing was asked
 * for. */
void reload_requests_check_probation(struct reload_requests *q, char *why, size_t size);
/* Returns true, once, when a generation has failed its probation, with the reason in why. Nothing
 * is asked for, and the next generation is compared with this one. */
bool reload_requests_excuse(struct reload_requests *q, char *why, size_t size);
/* The kind whose turn it is; RELOAD_KINDS: nothing is asked for. */
enum reload_kind reload_requests_next(struct reload_requests *q);
/* Takes the wish of this kind, which must be there. */
struct reload_wish reload_requests_take(struct reload_requests *q, enum reload_kind kind);
/* Puts back a reload that was taken, with its ticket, unless another is asked for. */
void reload_requests_put_back(struct reload_requests *q, const struct reload_wish *load);
/* Does somebody ask for a rollback of what serves? Probation does not count. */
bool reload_requests_wants_back(struct reload_requests *q);
/* Drops the reload that was asked for before the rollback; false: there is none. */
bool reload_requests_drop_older(struct reload_requests *q, char cause[RELOAD_CAUSE_BYTES]);
/* The rollback with this ticket is under way; 0: none is. */
void reload_requests_rolling_back(struct reload_requests *q, uint32_t ticket);
/* Under the lock: the next generation serves, new code or what a rollback brings back. events: what
 * the process has handled so far. */
void reload_requests_take_over(struct reload_requests *q, bool back, const struct limits *limits,
                               uint64_t events);
/* Is what serves on probation, or failed it so that its rollback comes? */
bool reload_requests_on_probation(struct reload_requests *q);
/* What is told when what serves has got through its probation: one line. */
void reload_requests_kept(struct reload_requests *q, char *text, size_t size);
