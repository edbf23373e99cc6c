/* Hot reload, over all workers, in two phases. Before the first, the app's files are read and compiled, in a
 * thread of their own (engine/reload/sources.h). Prepare: each worker loads the app again into a site of
 * its own, with no effect that can be seen. When all could, and agree, and the new listeners are open,
 * each worker commits between two events; else each forgets it, and what serves goes on.
 *
 * A rollback is the same, but no code runs in its first phase: the generation that served before
 * declares once more what it had declared, and serves again under a new number. Each worker keeps one for
 * that; after a rollback there is none until the next reload. New code that fails far more than the code
 * before it (engine/reload/probation.h) is rolled back without being asked.
 *
 * The main thread asks, by letters; the workers answer here. One attempt runs at a time. What is asked
 * for meanwhile comes next, in the order in which it was asked for, but:
 * - reloads that wait are one, and so are rollbacks;
 * - a rollback goes before a reload that was asked for earlier and does not serve yet: that one is
 *   dropped, even while it is prepared. So code that is on its way cannot take away what there is to go
 *   back to. The rollback's end answers for both;
 * - a rollback is meant for the generation that serves when it is asked for; when another one serves at
 *   its turn, it fails and nothing changes;
 * - the one that probation asks for drops nothing: a reload that was asked for earlier may bring the
 *   remedy, and the rollback is void when it does. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/probation.h"
#include "engine/reload/reload_worker.h"
#include "engine/reload/watch.h"
#include "engine/server/server_listen.h"

enum {
    RELOAD_TRACE_BYTES = 4096, /* of a failure, with its traceback */
    RELOAD_CAUSE_BYTES = 32
};

enum reload_phase { RELOAD_IDLE, RELOAD_READING, RELOAD_PREPARING, RELOAD_COMMITTING };
enum reload_kind { RELOAD_LOAD, RELOAD_BACK, RELOAD_KINDS };

/* What somebody has asked for. */
struct reload_wish {
    bool wanted;
    bool by_itself;  /* RELOAD_BACK: by probation */
    uint32_t ticket; /* in the order of asking */
    uint32_t from;   /* RELOAD_BACK: the generation that served */
    uint64_t since_us;
    char cause[RELOAD_CAUSE_BYTES];
};

/* How an attempt ended. */
struct reload_end {
    bool ok;
    bool back;           /* it was a rollback */
    bool by_itself;      /* which probation has asked for */
    uint32_t generation; /* that serves now */
    uint32_t ticket;     /* all requests up to this one are answered by it */
    const char *text;    /* what the log says of it, maybe with an excerpt on lines of its own */
};

/* Hears of each attempt's end, in the main thread. The caller's storage. */
struct reload_observer {
    struct reload_observer *next;
    void (*ended)(struct reload_observer *o, const struct reload_end *end);
};

struct reload {
    struct server *server;
    char *app; /* its name, for people */
    bool watching;
    bool fixed_listeners; /* the command line's: the app's are not opened */
    /* What sources_begin wants; NULL: the workers parse all files themselves. */
    int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem);
    ev_timer pause;   /* until the next one may begin */
    ev_timer overdue; /* for the answers */
    struct watch watch;

    /* As the workers see the attempt. Its wake also tells that somebody asks; its lock also guards the
     * fields up to the next blank line. */
    struct reload_round round;
    struct reload_wish wishes[RELOAD_KINDS];
    uint32_t ticket; /* the last one */
    uint32_t
        generation; /* that serves; the main thread changes it, and reads it without the lock */
    uint32_t
        earlier; /* whose code a rollback brings back, as r->code; 0: there is none. The same */
    uint32_t going_back; /* the ticket of a rollback that is under way, or 0 */
    struct probation probation;
    bool bad; /* the generation that serves has failed its probation, since now */
    char failure[RELOAD_TRACE_BYTES]; /* the first one in its probation */
    struct site_file *late_files;     /* that a hook has required */
    size_t late_count;

    enum reload_phase phase;
    /* The attempt. */
    enum reload_kind kind;
    bool keep_earlier; /* what serves has failed its probation: nobody goes back to it */
    char why[RELOAD_TRACE_BYTES + RELOAD_WHY_BYTES]; /* RELOAD_BACK: it is wanted */
    struct reload_wish wish;
    uint32_t code;     /* the generation that was loaded as what serves now */
    uint32_t again;    /* attempts in a row whose files changed meanwhile */
    uint64_t ended_us; /* the last one */
    char **names;      /* of the files that the app was last made of: what the next attempt reads */
    size_t name_count;
    struct reload_observer *observers;
    struct listen_plan listeners;
};

/* After server_init; the workers have their first sites. 0 or ERR_MEMORY. app: for the log. */
int reload_init(struct reload *r, struct server *s, const char *app)
    __attribute__((warn_unused_result));
/* After server_join, before server_deinit. Allowed when reload_init was not called. */
void reload_deinit(struct reload *r);
/* Reloads when files change, from now on. What cannot be watched is logged. */
void reload_watch(struct reload *r);

/* From any thread: reload soon. cause: "SIGHUP". Returns the request's ticket. */
uint32_t reload_request(struct reload *r, const char *cause);
/* From any thread: roll back soon. cause: "moonwire rollback". Returns the request's ticket. That there is
 * nothing to go back to is told as its end. */
uint32_t reload_rollback(struct reload *r, const char *cause);
/* From any thread: something of this generation failed. text: what and why, with the traceback. */
void reload_failed(struct reload *r, uint32_t generation, const char *text, size_t len);
/* o hears of what follows, for as long as r lives. */
void reload_observe(struct reload *r, struct reload_observer *o);
/* From any thread: the app that serves is made of this file too. */
void reload_late_file(struct reload *r, const char *path, const char *digest);
