/* The process: its workers, its listeners, what its workers share. Call from the main thread unless
 * noted. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/client/connect_queue.h"
#include "engine/client/resolver.h"
#include "engine/ground/admission.h"
#include "engine/ground/counters.h"
#include "engine/ground/origins_refused.h"
#include "engine/server/listener.h"
#include "engine/worker/worker.h"
#include "engine/ws/audience.h"

enum {
    SERVER_WORKERS_MAX = AUDIENCE_WORKERS_MAX, /* a handle has 8 bits for it (script/api.h) */
    SERVER_SIGNALS_MAX = 4,
    SERVER_WHY_BYTES = 2048, /* one line, and an excerpt of the source on a terminal */
    SERVER_ADDRESS_BYTES = 128
};

struct control;
struct inherited;
struct overlay;
struct reload;
struct supervisor;

struct server_signal {
    ev_signal watcher;
    void (*fn)(struct server *s, int signum);
};

struct server {
    struct log log;
    struct worker *workers;
    uint32_t worker_count;
    uint32_t started;            /* threads */
    struct listener **listeners; /* under the lock, but for the main thread's reads */
    size_t listener_count;
    pthread_mutex_t listeners_lock;
    uint32_t listener_groups;
    struct inherited *inherited; /* sockets of the service manager; NULL: there are none */
    struct ev_loop *loop;        /* the main thread's: signals, and accepting for many workers */
    ev_async wake;               /* a drain has begun, or a worker has ended */
    ev_timer deadline;           /* of the drain */
    _Atomic uint32_t *dealt; /* by worker: connections in its mailbox, not yet in its conn_count */
    struct reload *reload;   /* NULL: the app is not loaded again */
    struct overlay *overlay; /* NULL: pages do not get it; not changed once threads run */
    struct control *control; /* NULL: there is no control socket */
    struct supervisor *supervisor; /* NULL: there is no service manager */
    /* In the main thread, when a drain has begun; NULL: nobody wants to know. */
    void (*drain_begins)(struct server *s);
    uint32_t next_worker; /* among equals */
    _Atomic uint32_t running;
    _Atomic bool draining;
    _Atomic uint64_t drain_began_ms; /* by clock_monotonic_ms; 0: no drain has begun */
    struct server_signal signals[SERVER_SIGNALS_MAX];
    uint32_t signal_count;
    struct counters counters; /* of the thread that accepts */
    _Atomic int exit_status;  /* what server_exit was given; -1 */
    /* Shared by the workers. */
    struct mailboxes mailboxes;
    struct admission admission;
    struct origins_refused origins_refused;
    struct resolver *resolver;
    struct connect_queues connect_queues; /* of connections that scripts open */
    struct audiences audiences;           /* of topics */
    struct memory_budget memory;          /* what their connections may hold */
};

/* 0 or ERR_MEMORY (also: the system gives no event loop). */
int server_init(struct server *s, uint32_t worker_count, const struct log *log)
    __attribute__((warn_unused_result));
/* After server_join. Closes what is open. */
void server_deinit(struct server *s);

/* fn is called in the main thread's loop when the process gets the signal. At most
 * SERVER_SIGNALS_MAX. */
void server_on_signal(struct server *s, int signum, void (*fn)(struct server *s, int signum));

/* Starts the worker threads. On failure none runs. */
int server_start(struct server *s) __attribute__((warn_unused_result));
/* The main thread's loop: returns 0 when every worker has ended. Workers end a drain by
 * themselves, after limits.drain_seconds and limits.close_seconds at the latest; the number of
 * those that have not a second later is returned then (their scripts never return: only the
 * process can be ended). */
uint32_t server_run(struct server *s) __attribute__((warn_unused_result));
void server_join(struct server *s);

/* From any thread: stop accepting, close 1001 to every client, paced; server_run returns when all
 * are gone. */
void server_drain(struct server *s);
/* For how long it has drained; UINT64_MAX when it ends without a drain. */
uint64_t server_drained_ms(const struct server *s);
/* How long that may last, by the limits of the app. */
uint32_t server_drain_seconds(struct server *s);
/* From any thread: end all loops at once. */
void server_stop(struct server *s);

/* From any thread: end all loops at the end of their turns, and the process with this status. The
 * first call counts. */
void server_exit(struct server *s, int status);
/* Was it called? */
bool server_exiting(const struct server *s);

/* Those of the app's limits that are the process's count from now on. */
void server_set_limits(struct server *s, const struct limits *limits);
/* Of all workers. From any thread. */
uint64_t server_counter(const struct server *s, unsigned i);
/* What could call a hook so far: requests but those for files, WebSockets that opened, messages.
 * From any thread. */
uint64_t server_events(const struct server *s);
/* libev's version, as it was linked at run time: "4.33". */
const char *server_loop_version(char out[16]);
