/* What the service manager is told (sd_notify(3)), when there is one that wants to know: that the
 * server is ready, reloads and stops; and, every so often, that all workers turn. When one does
 * not, nothing is said, and the service manager ends the process after WatchdogSec.
 *
 * The main thread's. Nothing here fails the server: what cannot be told is logged once. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/reload/reload.h"
#include "transport/notify_socket.h"

struct server;

struct supervisor {
    struct server *server; /* NULL: nobody wants to know */
    struct notify_socket socket;
    struct reload_observer observer;
    ev_timer watchdog;    /* active when the service manager has one */
    uint64_t patience_ms; /* for which a worker may be busy with one turn */
    bool stalled;         /* a worker does not turn, and the log has said so */
    bool stopping;        /* was told */
    bool failed;          /* the log has said that nothing can be told */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void supervisor_init(struct supervisor *v, struct server *s);
/* Takes the variables out of the environment, since they are not meant for programs that hooks
 * start. Before the workers run, for the environment is everybody's. */
void supervisor_hide(void);
/* The workers run. r: what is told of reloads; NULL: there are none. */
void supervisor_ready(struct supervisor *v, struct reload *r);
/* The server ends. Idempotent; a drain tells it by itself. */
void supervisor_stopping(struct supervisor *v);
/* Before server_deinit. */
void supervisor_deinit(struct supervisor *v);
