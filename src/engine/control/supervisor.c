/* Tells the service manager how the server is. */
#include "engine/control/supervisor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/ground/pulse.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"

enum {
    LOOKS = 4, /* at the workers, in the time after which the service manager gives us up */
    US_PER_MS = 1000,
    US_PER_S = 1000000,
    TEXT_BYTES = 160
};

static void tell(struct supervisor *v, const char *text)
{
    if (v->socket.fd < 0 || notify_socket_send(&v->socket, text) == 0)
        return;
    if (!v->failed)
        log_write(&v->server->log, LOG_WARN, "the service manager cannot be told: %s",
                  listening_errno_text(errno));
    v->failed = true;
}

/* ---- the watchdog ---------------------------------------------------------------------------- */

/* A worker that is at one turn for longer than it may; NULL: all turn. */
static const struct worker *silent_worker(const struct supervisor *v)
{
    const struct server *s = v->server;
    uint64_t now_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < s->worker_count; i++)
        if (pulse_busy_ms(&s->workers[i].pulse, now_ms) >= v->patience_ms)
            return &s->workers[i];
    return NULL;
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct supervisor *v = timer->data;
    const struct worker *silent = silent_worker(v);
    if (!silent) {
        v->stalled = false;
        tell(v, "WATCHDOG=1");
        return;
    }
    if (!v->stalled)
        log_write(&v->server->log, LOG_ERROR,
                  "worker %u has been at one turn for %.1f s (a hook of it does not return): the "
                  "service manager's watchdog is not told that all is well, and may end the "
                  "process",
                  silent->index + 1, (double)v->patience_ms / 1000);
    v->stalled = true;
}

/* $WATCHDOG_USEC, or 0: there is no watchdog, or it is another process's. */
static uint64_t watchdog_us(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    if (!us || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    errno = 0;
    unsigned long long value = strtoull(us, &end, 10);
    return errno || *end || end == us ? 0 : value;
}

static void prepare_watchdog(struct supervisor *v, uint64_t us)
{
    ev_init(&v->watchdog, on_watchdog);
    v->watchdog.data = v;
    v->watchdog.repeat = (double)us / LOOKS / US_PER_S;
    v->patience_ms = us / 2 / US_PER_MS;
    if (v->patience_ms == 0)
        v->patience_ms = 1;
}

/* ---- reloads --------------------------------------------------------------------------------- */

static struct supervisor *of_observer(struct reload_observer *o)
{
    return (struct supervisor *)(void *)((char *)o - offsetof(struct supervisor, observer));
}

static void tell_ready(struct supervisor *v, uint32_t generation)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof(text), "READY=1\nSTATUS=Generation %u serves", generation);
    tell(v, text);
}

static void reload_began(struct reload_observer *o)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
             (unsigned long long)clock_monotonic_us());
    tell(of_observer(o), text);
}

static void reload_ended(struct reload_observer *o, const struct reload_end *end)
{
    struct supervisor *v = of_observer(o);
    if (!v->stopping)
        tell_ready(v, end->generation);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_drain(struct server *s)
{
    supervisor_stopping(s->supervisor);
}

void supervisor_init(struct supervisor *v, struct server *s)
{
    char why[LISTENING_WHY_BYTES];
    const char *address = getenv("NOTIFY_SOCKET");
    *v = (struct supervisor){.socket.fd = -1};
    uint64_t us = watchdog_us();
    if (address && *address) {
        if (notify_socket_open(&v->socket, address, why))
            log_write(&s->log, LOG_WARN, "the service manager cannot be told: %s", why);
        else
            v->server = s;
    }
    if (!v->server)
        return;
    v->observer = (struct reload_observer){.began = reload_began, .ended = reload_ended};
    prepare_watchdog(v, us);
    s->supervisor = v;
    s->drain_begins = on_drain;
}

void supervisor_hide(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void supervisor_ready(struct supervisor *v, struct reload *r)
{
    if (!v->server)
        return;
    if (r)
        reload_observe(r, &v->observer);
    tell_ready(v, r ? reload_generation(r) : 1);
    if (v->watchdog.repeat > 0)
        ev_timer_again(v->server->loop, &v->watchdog);
}

void supervisor_stopping(struct supervisor *v)
{
    if (!v->server || v->stopping)
        return;
    v->stopping = true;
    tell(v, "STOPPING=1\nSTATUS=Closing connections");
}

void supervisor_deinit(struct supervisor *v)
{
    if (v->server)
        ev_timer_stop(v->server->loop, &v->watchdog);
    notify_socket_close(&v->socket);
    v->server = NULL;
}
