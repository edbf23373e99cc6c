/* A worker: one thread, one loop, its connections and its script. Other threads touch nothing in
 * it but the mailbox, the counters and the count of connections.
 *
 * This is the ground on which the rooms above stand: the struct, the clock, the log, and the way
 * of a batch of events to the script. How a worker begins, turns and ends is in run/. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/intern.h"
#include "base/log.h"
#include "base/log_budget.h"
#include "base/log_repeats.h"
#include "engine/ground/batch.h"
#include "engine/ground/counters.h"
#include "engine/ground/mailbox.h"
#include "engine/ground/mask_keys.h"
#include "engine/ground/memory.h"
#include "engine/ground/outbound.h"
#include "engine/ground/pulse.h"
#include "engine/ground/site.h"
#include "protocol/deflate.h"
#include "transport/tcp.h"
#include "transport/tls_client.h"
#include "transport/transport.h"

struct admission;
struct origins_refused;
struct audiences;
struct conn;
struct conn_block;
struct conn_role;
struct connect_desk;
struct handover;
struct http_session;
struct reload_facts;
struct resolver;
struct server;
struct sources;
struct timers;
struct topics;
struct worker;

enum {
    /* With so much read the batch is run and its place used again, while the nearest caches have
     * it. What TLS needs always fits behind it. */
    READ_BATCH_BYTES = 32 * 1024,
    READ_ARENA_BYTES = READ_BATCH_BYTES + 2 * TRANSPORT_READ_BYTES,
    READ_DIRECT_BYTES = 128 * 1024, /* of a large message, at a time, for the same reason */
    WRITE_ARENA_BYTES = 1024 * 1024,
    WORKER_STACK_BYTES = 64 * 1024 * 1024, /* a script that calls itself through C takes 8 KiB
                                            * a time; what is not used is no memory */
    WORKER_TICKS_PER_SECOND = 10,          /* of deadlines */
    WORKER_ALIGNMENT = 64                  /* a cache line */
};

/* What a worker asks of its script. Every function is called in the worker's thread; none may be
 * called from C that Lua has called. */
struct script_ops {
    /* Handles the events in w->given, at least one. */
    void (*dispatch)(void *script);
    /* Loads the app once more, into next, and commits next; w->sources has the app's files as they
     * were read for it, or is NULL. Nothing that serves changes. 0, or a negative error with a
     * line in why. */
    int (*prepare)(struct worker *w, struct site *next, char *why, size_t why_len);
    /* Declares into next what the generation before the present one had declared; otherwise as
     * prepare. */
    int (*restore)(struct worker *w, struct site *next, char *why, size_t why_len);
    /* What was prepared or restored serves from now on; w->site is its site. */
    void (*commit)(void *script, const struct reload_facts *facts);
    /* Forgets what was prepared or restored. */
    void (*abandon)(void *script);
    /* Does at most a slice of what a reload has left to be collected. False: nothing is left. */
    bool (*tidy)(void *script);
    /* Writes what the script knows of itself to out, as members of a JSON object. 0 or ERR_MEMORY.
     */
    int (*describe)(void *script, struct buffer *out);
    /* Returns the number of tasks that wait for something which turn_pending does not know. */
    uint32_t (*pending)(void *script);
};

/* Published messages that another worker's mailbox had no room for. */
struct letters_dropped {
    ev_tstamp told_at; /* when the log had a line about some; 0: never */
    uint32_t since;
};

struct worker {
    struct ev_loop *loop;
    struct server *server; /* for the rooms above that know it */
    const struct log *log;
    struct site *site; /* owned */
    struct site *next; /* owned: prepared to take its place; or NULL */
    uint32_t index;

    const struct script_ops *ops;
    void *script;
    void *app;               /* what ops->prepare and ops->restore need beside it */
    struct sources *sources; /* while ops->prepare runs */
    bool until_idle;         /* nothing listens: the loop ends when nothing is pending */
    bool ending;             /* the script has ended the process: it hears of nothing more */

    struct arena in;          /* what was read in this turn */
    struct arena out;         /* what is to be written in this turn */
    struct batch batch;       /* events that wait */
    struct batch running;     /* events that the script has; what it causes goes to batch */
    struct event_batch given; /* the running ones, for the script */

    /* What each state of a connection does (conn/conn.h). */
    const struct conn_role *roles[9];
    struct conn_block **blocks; /* of connections, by slot / CONN_BLOCK */
    struct conn *free_conns;    /* slots that are free */
    uint32_t slot_cap;          /* slots there are */

    struct conn *dirty;   /* to flush before the loop sleeps */
    struct conn *dead;    /* to free at the end of the turn */
    uint32_t ended;       /* connections that began to end in this turn */
    struct conn **resume; /* to go on with held-back input */
    uint32_t resume_count;
    uint32_t resume_cap;

    struct intern requests; /* what WebSockets remember of their requests (ws/ws_request.h) */
    struct topics *topics;  /* owned, as the next three */
    struct timers *timers;
    struct handover *handover;
    struct connect_desk *connect_desk; /* of connections that the script opens */
    /* Shared by all workers. */
    const struct mailboxes *mailboxes;
    struct admission *admission;
    struct origins_refused *origins_refused;
    struct audiences *audiences;
    struct resolver *resolver;
    const struct memory_budget *budget;
    /* What other threads write, and what they read, each apart from the rest: for every message
     * this thread touches its counters and never its mailbox, and shares no line with another
     * worker. */
    _Alignas(WORKER_ALIGNMENT) struct mailbox mailbox;
    _Alignas(WORKER_ALIGNMENT) _Atomic uint32_t conn_count; /* read to deal out connections */
    struct pulse pulse;                                     /* also */
    _Alignas(WORKER_ALIGNMENT) struct counters counters;
    _Atomic uint64_t files_served; /* of the requests, those that no handler has seen */
    struct memory_account memory;
    _Alignas(WORKER_ALIGNMENT) struct http_session *free_sessions;
    uint32_t free_session_count;
    struct mask_keys mask_keys; /* of connections in the client's role */
    struct tls_client_cache tls_clients;
    struct tls_ciphers *tls_ciphers; /* NULL until a TLS connection needs them */
    struct buffer scratch;           /* for encoding; empty between calls */
    struct deflaters deflaters;      /* for messages without context, and for shared ones */
    struct inflater *inflater;       /* for messages without context; NULL: none yet, or lent */

    ev_io input; /* a descriptor that the script reads itself; active while it waits for it */
    ev_check turn_begin;
    ev_prepare turn_end;
    ev_prepare relief; /* never active: fed when what connections hold has grown */
    ev_timer sweep;    /* deadlines; only while there are connections */
    ev_timer drain;
    ev_tstamp started;
    ev_tstamp drain_started;      /* 0: not draining */
    uint32_t drain_cursor;        /* slots below it were told to close */
    struct log_budget log_budget; /* of lines about peers */
    struct letters_dropped letters_dropped;
    bool watch_mode;      /* answers may tell what only the app's developer should know */
    bool overlay_for_all; /* the dev overlay is for peers on other machines, too */
    /* --listen, in place of the site's listeners; the process has them for all its life. */
    const struct site_listener *fixed_listeners;
    size_t fixed_listener_count;
    struct log_repeats failures;          /* of the script, that were logged within a second */
    struct log_budget failures_elsewhere; /* of those for which it has no room */
    ev_timer failures_over;               /* active while there are any */
    pthread_t thread;
};

/* The worker of a loop. */
struct worker *worker_of(struct ev_loop *loop);

/* Hands the waiting events to the script: the arena is full, or the turn ends. The read arena is
 * empty afterwards. */
void worker_dispatch(struct worker *w);

/* The time of this turn, in ticks since the worker began; never 0. */
uint32_t worker_tick(const struct worker *w);
/* Looks at deadlines from now on, until no connection is left. */
void worker_sweep(struct worker *w);

/* A line in the log that a peer can cause, with its address. At most LOG_BUDGET_LINES a second are
 * written; the number of those that are left out is told later. */
void worker_log_peer(struct worker *w, enum log_level level, const struct address *peer,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A failure of the script, with its traceback. place: bytes that name where it failed. The first of
 * a place is written whole; further ones within a second are counted, and a line tells of them when
 * the second is over or the worker ends. */
void worker_log_failure(struct worker *w, const char *place, size_t place_len, const char *text,
                        size_t len);
/* Tells of the failures that are still counted. */
void worker_log_end(struct worker *w);
/* The same bound as worker_log_peer's, without the address. */
void worker_log_bounded(struct worker *w, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
