/* Hot reload, over all workers, in two phases. First the app's files are read and compiled, in a
 * thread of their own (engine/reload/sources.h). Prepare: each worker loads the app again into a
 * site of its own, with no effect that can be seen. When all could, and agree, and the new
 * listeners are open, each worker commits between two events. Otherwise each forgets what it has
 * prepared, and what serves goes on.
 *
 * A rollback does the same, but no code runs in its first phase: the generation that served before
 * declares once more what it had declared, and serves again under a new number. Each worker keeps
 * one generation for that; after a rollback there is none until the next reload. New code that
 * fails far more than the code before it (engine/reload/probation.h) is rolled back without being
 * asked.
 *
 * The main thread asks, by letters; the workers answer (engine/reload/reload_round.h). One attempt
 * runs at a time. What is asked for meanwhile comes next, in the order in which it was asked for,
 * with these exceptions:
 * - Reloads that wait are one, and so are rollbacks.
 * - A rollback drops a reload that was asked for earlier and does not serve yet, even while it is
 *   prepared, so that code on its way cannot take away what there is to go back to. The rollback's
 *   end answers for both.
 * - A rollback is meant for the generation that serves when it is asked for. When another one
 *   serves at its turn, it fails and nothing changes.
 * - A rollback by probation drops nothing: a reload that was asked for earlier may bring the
 *   remedy, and the rollback is void when it does. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/reload/reload_attempt.h"
#include "engine/reload/reload_files.h"
#include "engine/reload/reload_requests.h"
#include "engine/reload/reload_round.h"
#include "engine/server/server.h"

/* How an attempt ended. */
struct reload_end {
    bool ok;
    bool back;           /* it was a rollback */
    bool by_itself;      /* a rollback that probation asked for */
    uint32_t generation; /* that serves now */
    uint32_t ticket;     /* all requests up to this one are answered */
    const char *text;    /* the log's line, which may go on with an excerpt of the source */
};

/* Hears of each attempt's end, in the main thread, and of its beginning. An attempt that is given
 * up in favour of another has no end of its own. The caller's storage. */
struct reload_observer {
    struct reload_observer *next;
    void (*began)(struct reload_observer *o); /* NULL: it does not want to know */
    void (*ended)(struct reload_observer *o, const struct reload_end *end);
};

struct reload {
    struct server *server;
    struct reload_observer *observers;
    ev_async wake;  /* somebody asks, or a worker has answered */
    ev_timer pause; /* until the next attempt may begin */
    struct reload_files files;
    struct reload_requests requests;
    struct reload_round round;
    struct reload_attempt attempt;
};

/* After server_init, when the workers have their first sites. options->app must outlive r. 0 or
 * ERR_MEMORY. */
int reload_init(struct reload *r, struct server *s, const struct reload_options *options)
    __attribute__((warn_unused_result));
/* After server_join, before server_deinit. Does nothing when reload_init was not called. */
void reload_deinit(struct reload *r);
/* Reloads when files change, from now on. What cannot be watched is logged. */
void reload_watch(struct reload *r);
/* o hears of what follows, for as long as r lives. */
void reload_observe(struct reload *r, struct reload_observer *o);

/* The one that serves, from 1. The main thread's. */
uint32_t reload_generation(const struct reload *r);

/* Is what serves on probation, or is it about to be taken back? The main thread's. */
bool reload_on_probation(struct reload *r);
/* Writes what is told of a generation that has got through its probation: one line. */
void reload_kept(struct reload *r, char *text, size_t size);

/* ---- from any thread ---- */

/* Asks for a reload. cause: "SIGHUP". Returns the request's ticket. */
uint32_t reload_request(struct reload *r, const char *cause);
/* Asks for a rollback. cause: "moonwire rollback". Returns the request's ticket. If there is
 * nothing to go back to, its end says so. */
uint32_t reload_rollback(struct reload *r, const char *cause);
/* Something failed: its generation may fail its probation by that. */
void reload_failed(struct reload *r, const struct reload_failure *f);
/* The app that serves is made of this file too. */
void reload_late_file(struct reload *r, const char *path, const char *digest);
