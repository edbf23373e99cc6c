/* What every room needs of a worker: its clock, its log, and the way of events to the script. */
#include "engine/worker/worker.h"

#include <stdarg.h>
#include <stdio.h>

struct worker *worker_of(struct ev_loop *loop)
{
    return ev_userdata(loop);
}

void worker_dispatch(struct worker *w)
{
    if (w->batch.count > 0) {
        struct batch next = w->running;
        w->running = w->batch;
        w->batch = next;
        w->given.events = w->running.events;
        w->given.count = (int32_t)w->running.count;
        w->given.at = 0;
        if (!w->ending)
            w->ops->dispatch(w->script);
        w->given.events = NULL;
        batch_clear(&w->running);
    }
    /* What the script caused points at nothing in the arena. */
    w->in.used = 0;
}

uint32_t worker_tick(const struct worker *w)
{
    return (uint32_t)((ev_now(w->loop) - w->started) * WORKER_TICKS_PER_SECOND) + 1;
}

void worker_sweep(struct worker *w)
{
    if (!ev_is_active(&w->sweep))
        ev_timer_again(w->loop, &w->sweep);
}

/* May one more line be written in this second? */
static bool may_log(struct worker *w, enum log_level level)
{
    if (!log_wants(w->log, level))
        return false;
    struct log_left_out before;
    uint32_t second = (uint32_t)(ev_now(w->loop) - w->started);
    bool may = log_budget_take(&w->log_budget, second, level, &before);
    if (before.lines > 0)
        log_write(w->log, before.level, "%u more lines about peers were left out", before.lines);
    return may;
}

void worker_log_peer(struct worker *w, enum log_level level, const struct address *peer,
                     const char *format, ...)
{
    if (!may_log(w, level))
        return;
    char text[1024];
    char from[ADDRESS_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_write(w->log, level, "%s: %s", address_format(peer, from), text);
}

void worker_log_bounded(struct worker *w, enum log_level level, const char *format, ...)
{
    if (!may_log(w, level))
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_write(w->log, level, "%s", text);
}
