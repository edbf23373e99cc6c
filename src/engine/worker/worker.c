/* What every room needs of a worker: its clock, its log, and the way of events to the script. */
#include "engine/worker/worker.h"

#include <stdarg.h>
#include <stdio.h>

/* How often a worker looks whether it has counted failures for a second. */
static const ev_tstamp failures_look_seconds = 0.25;

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
        __atomic_store_n(&w->given.at, 0, __ATOMIC_RELAXED);
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

/* Failures at more places than can be counted each are few lines a second, as those about peers. */
static bool may_log_elsewhere(struct worker *w)
{
    struct log_left_out told; /* by log_elsewhere_until */
    uint32_t second = (uint32_t)(ev_now(w->loop) - w->started);
    return log_budget_take(&w->failures_elsewhere, second, LOG_ERROR, &told);
}

static void log_elsewhere_until(struct worker *w, uint64_t now_ms)
{
    struct log_budget *b = &w->failures_elsewhere;
    if (b->lines <= LOG_BUDGET_LINES || now_ms / 1000 <= b->second)
        return;
    log_write(w->log, LOG_ERROR, "%u more failures at other places were left out",
              b->lines - LOG_BUDGET_LINES);
    b->lines = 0;
}

static void log_repeats_until(struct worker *w, uint64_t now_ms)
{
    log_elsewhere_until(w, now_ms);
    struct log_repeat one;
    while (log_repeats_over(&w->failures, now_ms, &one))
        if (one.more > 0)
            log_write(w->log, LOG_ERROR, "%u more like it within a second: %s", one.more, one.text);
}

static bool any_failure(const struct worker *w)
{
    for (size_t i = 0; i < LOG_REPEATS_PLACES; i++)
        if (w->failures.places[i].used)
            return true;
    return w->failures_elsewhere.lines > LOG_BUDGET_LINES;
}

static uint64_t now_ms(const struct worker *w)
{
    return (uint64_t)((ev_now(w->loop) - w->started) * 1000);
}

static void on_failures_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    log_repeats_until(w, now_ms(w));
    if (!any_failure(w))
        ev_timer_stop(loop, timer);
}

void worker_log_failure(struct worker *w, const char *place, size_t place_len, const char *text,
                        size_t len)
{
    if (!log_wants(w->log, LOG_ERROR))
        return;
    log_repeats_until(w, now_ms(w));
    bool counted = log_repeats_have_room(&w->failures);
    if (log_repeats_take(&w->failures, place, place_len, text, len, now_ms(w)) &&
        (counted || may_log_elsewhere(w)))
        log_text(w->log, LOG_ERROR, text, len, "", 0);
    if (!ev_is_active(&w->failures_over) && any_failure(w)) {
        ev_timer_init(&w->failures_over, on_failures_over, failures_look_seconds,
                      failures_look_seconds);
        ev_timer_start(w->loop, &w->failures_over);
    }
}

void worker_log_end(struct worker *w)
{
    log_repeats_until(w, UINT64_MAX);
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
