/* Hot reload, over all workers, in two phases. Prepare: each worker loads the app again into a site of
 * its own, with no effect that can be seen. When all could, and agree, and the new listeners are open,
 * each worker commits between two events; else each forgets it, and what serves goes on.
 *
 * The main thread asks, by letters; the workers answer here. One reload runs at a time, and all that is
 * asked for meanwhile is the next one. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/server.h"
#include "engine/watch.h"

enum {
    RELOAD_WHY_BYTES = 2048, /* with an excerpt of the source */
    RELOAD_CAUSE_BYTES = 32
};

enum reload_phase { RELOAD_IDLE, RELOAD_PREPARING, RELOAD_COMMITTING };

struct reload_answer {
    int status; /* 0, or an error */
    const struct site *site;
    char why[RELOAD_WHY_BYTES];
    uint64_t began_us; /* of the switch */
    uint64_t ended_us;
};

/* How an attempt ended. */
struct reload_end {
    bool ok;
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
    ev_async wake;        /* somebody asks, or the last answer has come */
    ev_timer pause;       /* until the next one may begin */
    ev_timer overdue;     /* for the answers */
    struct watch watch;

    pthread_mutex_t lock; /* for what follows up to the next blank line */
    bool wanted;
    uint32_t ticket; /* of the requests that the next attempt answers */
    uint64_t wanted_us;
    char wanted_for[RELOAD_CAUSE_BYTES];
    uint32_t number; /* of the attempt that is answered */
    uint32_t missing;
    struct reload_answer *answers; /* by worker */
    struct site_file *late_files;  /* that a hook has required */
    size_t late_count;

    enum reload_phase phase;
    uint32_t generation; /* that serves */
    uint32_t again;      /* attempts in a row whose files changed meanwhile */
    uint64_t asked_us;
    char cause[RELOAD_CAUSE_BYTES];
    uint64_t ended_us; /* the last one */
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
/* o hears of what follows, for as long as r lives. */
void reload_observe(struct reload *r, struct reload_observer *o);
/* From any thread: the app that serves is made of this file too. */
void reload_late_file(struct reload *r, const char *path, const char *digest);

/* What the letters of the same names do, in the worker's thread.
 *   w->prepare(w, next, why, len) fills next, up to site_commit. 0, or an error with a text in why.
 *   w->commit(script): what was prepared serves; w->site is its site.
 *   w->abandon(script): it does not; also when nothing, or half of it, was prepared. */
void reload_prepare(struct worker *w, uint32_t number);
void reload_commit(struct worker *w, uint32_t generation);
void reload_abandon(struct worker *w);
