/* Handlers for the signals that the process gets. */
#include "main/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "engine/control/control.h"
#include "engine/reload/reload.h"
#include "engine/server/server.h"

/* Handles SIGPIPE instead of ignoring it: programs that a script starts would inherit an ignored
 * signal, but they get the default action in place of a handler. */
static void on_pipe(int signum)
{
    (void)signum;
}

void signals_init(void)
{
    struct sigaction action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
}

/* Some programs end another by a signal to it and one to its group, as timeout(1) does: that is one
 * wish. Who wants it ended at once asks again when this has passed. */
enum { AGAIN_MS = 1000 };

static void on_stop(struct server *s, int signum)
{
    if (atomic_load(&s->draining) && server_drained_ms(s) < AGAIN_MS) {
        log_write(&s->log, LOG_DEBUG,
                  "SIG%s within a second of the one before: it is the same wish",
                  sigabbrev_np(signum));
        return;
    }
    if (atomic_load(&s->draining)) {
        log_write(&s->log, LOG_WARN, "SIG%s again: ended at once", sigabbrev_np(signum));
        if (s->control)
            control_close(s->control);
        signal(signum, SIG_DFL);
        raise(signum);
    }
    log_write(&s->log, LOG_INFO,
              "SIG%s: closing all connections within %u seconds; again, a second from now: at once",
              sigabbrev_np(signum), server_drain_seconds(s));
    server_drain(s);
}

static void on_hangup(struct server *s, int signum)
{
    if (s->reload) {
        reload_request(s->reload, "SIGHUP");
        return;
    }
    signal(signum, SIG_DFL); /* a script ends with its terminal */
    raise(signum);
}

void signals_start(struct server *s)
{
    server_on_signal(s, SIGTERM, on_stop);
    server_on_signal(s, SIGINT, on_stop);
    server_on_signal(s, SIGHUP, on_hangup);
}
