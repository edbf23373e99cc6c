/* A worker: one thread, one loop, its connections and its script. Nothing in it is shared, but for
 * the mailbox and the counters. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/intern.h"
#include "base/log.h"
#include "engine/batch.h"
#include "engine/client/mask_keys.h"
#include "engine/client/turns.h"
#include "engine/conn.h"
#include "engine/counters.h"
#include "engine/mailbox.h"
#include "engine/outbound.h"
#include "engine/reload/handover.h"
#include "engine/site.h"
#include "engine/timers.h"
#include "engine/topics.h"
#include "protocol/deflate.h"
#include "transport/tls_client.h"

struct server;
struct http_session;
struct sources;

enum {
    /* With so much read the batch is run and its place used again, while the nearest caches have it.
     * What TLS needs always fits behind it. */
    READ_BATCH_BYTES = 32 * 1024,
    READ_ARENA_BYTES = READ_BATCH_BYTES + 2 * TRANSPORT_READ_BYTES,
    READ_DIRECT_BYTES = 128 * 1024, /* of a large message, at a time, for the same reason */
    WRITE_ARENA_BYTES = 1024 * 1024,
    WORKER_TICKS_PER_SECOND = 10, /* of deadlines */
    WORKER_ALIGNMENT = 64         /* a cache line */
};

struct worker {
    struct ev_loop *loop;
    struct server *server;
    const struct log *log;
    struct site *site; /* owned */
    struct site *next; /* owned: what was prepared to take its place, or NULL */
    uint32_t index;

    /* The script. dispatch is called with a batch that is not empty (in running); what the others do is
     * told by engine/reload/reload.h and engine/control/control.h. */
    void (*dispatch)(void *script);
    int (*prepare)(struct worker *w, struct site *next, char *why, size_t why_len);
    int (*restore)(struct worker *w, struct site *next, char *why, size_t why_len);
    void (*commit)(void *script);
    void (*abandon)(void *script);
    bool (*tidy)(void *script);
    int (*describe)(void *script, struct buffer *out);
    /* Tasks of the script that wait for something which worker_pending does not know. */
    uint32_t (*pending)(void *script);
    void *script;
    void *app; /* for prepare */
    struct sources
        *sources;    /* during prepare: the app's files, as they were read for it; or NULL */
    bool until_idle; /* nothing listens: the loop ends when nothing is pending */
    bool ending;     /* the script has ended the process: it hears of nothing more */

    struct arena in;          /* what was read in this turn */
    struct arena out;         /* what is to be written in this turn */
    struct batch batch;       /* events that wait */
    struct batch running;     /* events that the script has; what it causes goes to batch */
    struct event_batch given; /* the same, for the script */

    struct conn_block **blocks; /* of connections, by slot / CONN_BLOCK */
    struct conn *free_conns;    /* slots that are free */
    uint32_t slot_cap;          /* slots there are */

    struct conn *dirty;   /* to flush before the loop sleeps */
    struct conn *dead;    /* to free at the end of the turn */
    struct conn **resume; /* to go on with held-back input */
    uint32_t resume_count;
    uint32_t resume_cap;

    struct intern kept; /* what WebSockets keep of their requests (ws_kept.h) */
    struct topics topics;
    struct timers timers;
    /* What other threads write, and what they read, each apart from the rest: for every message this
     * thread touches its counters and never its mailbox, and shares no line with another worker. */
    _Alignas(WORKER_ALIGNMENT) struct mailbox mailbox;
    struct turn_desk turn_desk; /* of connections that the script opens */
    _Alignas(WORKER_ALIGNMENT) _Atomic uint32_t conn_count; /* read to deal out connections */
    _Alignas(WORKER_ALIGNMENT) struct counters counters;
    _Alignas(WORKER_ALIGNMENT) struct http_session *free_sessions;
    uint32_t free_session_count;
    struct mask_keys mask_keys; /* of connections in the client's role */
    struct tls_client_cache tls_clients;
    struct tls_ciphers *tls_ciphers; /* NULL until a TLS connection needs them */
    struct buffer scratch;           /* for encoding; empty between calls */
    struct deflaters deflaters;      /* for messages without context, and for shared ones */
    struct inflater *inflater;       /* for messages without context; NULL: none yet, or lent */

    ev_io input; /* what the script reads itself; while it waits for it */
    ev_prepare turn_end;
    ev_timer sweep; /* deadlines; only while there are connections */
    ev_timer drain;
    struct handover handover;
    ev_tstamp started;
    ev_tstamp drain_started; /* 0: not draining */
    uint32_t drain_cursor;   /* slots below it were told to close */
    uint32_t log_second;     /* lines about peers are bounded: in this second */
    uint32_t log_lines;      /* so many were wanted */
    pthread_t thread;
};

int worker_init(struct worker *w, struct server *server, uint32_t index);
void worker_deinit(struct worker *w);
/* The thread's body: runs until stopped. */
void worker_run(struct worker *w);
/* The worker of a loop. */
struct worker *worker_of(struct ev_loop *loop);

/* Events go to the script now: the arena is full, or the turn ends. */
void worker_dispatch(struct worker *w);
/* All output goes to the system now: the arena is full, or the turn ends. Leaves it empty. */
void worker_flush(struct worker *w);
/* The time of this turn, in ticks since the worker began; never 0. */
uint32_t worker_tick(const struct worker *w);
/* Deadlines are looked at from now on. */
void worker_sweep(struct worker *w);
/* Closes all connections with 1001, paced over limits.drain_seconds; the loop ends when none is
 * left, or close_seconds later. */
void worker_drain(struct worker *w);

/* Connections that are not closed, and timers: what may still cause an event. */
uint32_t worker_pending(const struct worker *w);
/* Ends the process with this status at the end of this turn. */
void worker_exit(struct worker *w, int status);

/* A line about what a peer did, with its address. At most WORKER_PEER_LINES a second are written;
 * how many were not is said. */
enum { WORKER_PEER_LINES = 20 };
void worker_log_peer(struct worker *w, enum log_level level, const struct conn *c,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same without the address. */
void worker_log_bounded(struct worker *w, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
