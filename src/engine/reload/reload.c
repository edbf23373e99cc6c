/* Hot reload: what is asked for is attempted, one after the other. */
#include "engine/reload/reload.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/worker/worker.h"

/* Between the end of one attempt and the next: a storm of causes is a few reloads a second. */
enum { PAUSE_US = 20000 };

/* ---- from any thread ------------------------------------------------------------------------- */

static void wake(struct reload *r)
{
    ev_async_send(r->server->loop, &r->wake);
}

uint32_t reload_request(struct reload *r, const char *cause)
{
    uint32_t ticket = reload_requests_load(&r->requests, cause, clock_monotonic_us());
    wake(r);
    return ticket;
}

uint32_t reload_rollback(struct reload *r, const char *cause)
{
    uint32_t ticket = reload_requests_rollback(&r->requests, cause);
    wake(r);
    return ticket;
}

void reload_failed(struct reload *r, const struct reload_failure *f)
{
    if (reload_requests_failed(&r->requests, f, server_events(r->server)))
        wake(r);
}

void reload_late_file(struct reload *r, const char *path, const char *digest)
{
    if (reload_files_add_late(&r->files, path, digest))
        wake(r);
}

/* ---- the ends of attempts -------------------------------------------------------------------- */

void reload_observe(struct reload *r, struct reload_observer *o)
{
    o->next = r->observers;
    r->observers = o;
}

uint32_t reload_generation(const struct reload *r)
{
    return r->requests.generation;
}

bool reload_on_probation(struct reload *r)
{
    const struct reload_attempt *a = &r->attempt;
    bool goes_back = a->phase != RELOAD_IDLE && a->kind == RELOAD_BACK;
    return goes_back || reload_requests_on_probation(&r->requests);
}

void reload_kept(struct reload *r, char *text, size_t size)
{
    reload_requests_kept(&r->requests, text, size);
}

static void ended(struct reload_attempt *a, bool ok, const char *text)
{
    struct reload *r = (struct reload *)(void *)((char *)a - offsetof(struct reload, attempt));
    const struct reload_end end = {
        .ok = ok,
        .back = a->kind == RELOAD_BACK,
        .by_itself = a->wish.by_itself,
        .generation = reload_generation(r),
        .ticket = a->wish.ticket,
        .text = text,
    };
    /* First, so that whoever has read the line finds that they know. */
    for (struct reload_observer *o = r->observers; o; o = o->next)
        o->ended(o, &end);
    enum log_level level = !ok ? LOG_ERROR : end.by_itself ? LOG_WARN : LOG_INFO;
    bool brief = ok && a->brief[0] && r->server->log.terminal;
    if (brief)
        log_write(&r->server->log, level, "%s", a->brief);
    log_write(&r->server->log, brief ? LOG_DEBUG : level, "%s", text);
}

/* ---- what comes next ------------------------------------------------------------------------- */

/* A rollback that somebody asks for, and that is possible, drops the reload before it. */
static void drop_older(struct reload *r)
{
    struct reload_attempt *a = &r->attempt;
    char cause[RELOAD_CAUSE_BYTES] = "";
    if (!a->back_to || !reload_requests_wants_back(&r->requests))
        return;
    bool waits = reload_requests_drop_older(&r->requests, cause);
    bool underway = reload_attempt_is_loading(a);
    if (underway)
        reload_attempt_abandon(a);
    if (underway || waits)
        log_write(&r->server->log, LOG_INFO, "the reload (%s) is dropped: a rollback was asked for",
                  underway ? a->wish.cause : cause);
}

static void tell_begin(struct reload *r)
{
    for (struct reload_observer *o = r->observers; o; o = o->next)
        if (o->began)
            o->began(o);
}

static void begin(struct reload *r, enum reload_kind kind)
{
    const struct reload_wish wish = reload_requests_take(&r->requests, kind);
    if (wish.by_itself && wish.from != reload_generation(r)) {
        log_write(&r->server->log, LOG_WARN,
                  "not rolled back, for generation %u serves already: %s", reload_generation(r),
                  r->attempt.rollback_why);
        return;
    }
    tell_begin(r);
    reload_attempt_begin(&r->attempt, kind, &wish);
}

static void maybe_begin(struct reload *r)
{
    struct server *s = r->server;
    enum reload_kind kind = reload_requests_next(&r->requests);
    if (kind == RELOAD_KINDS || atomic_load(&s->draining))
        return;
    uint64_t passed_us = clock_monotonic_us() - r->attempt.ended_us;
    uint64_t left_us = passed_us < PAUSE_US ? PAUSE_US - passed_us : 0;
    if (left_us == 0 && (kind == RELOAD_BACK || !reload_files_busy(&r->files))) {
        begin(r, kind);
        return;
    }
    if (ev_is_active(&r->pause))
        return;
    ev_now_update(s->loop);
    ev_timer_set(&r->pause, (double)(left_us ? left_us : PAUSE_US) / 1e6, 0);
    ev_timer_start(s->loop, &r->pause);
}

/* At a desk, code that fails is what somebody wants to see. */
static void check_probation(struct reload *r)
{
    struct reload_attempt *a = &r->attempt;
    if (!a->options.at_desk) {
        reload_requests_check_probation(&r->requests, a->rollback_why, sizeof(a->rollback_why));
        return;
    }
    char why[sizeof(a->rollback_why)];
    if (reload_requests_excuse(&r->requests, why, sizeof(why)))
        log_write(&r->server->log, LOG_WARN,
                  "not rolled back, since files are watched on a terminal (elsewhere probation "
                  "would do it): %s",
                  why);
}

static void step(struct reload *r)
{
    struct reload_attempt *a = &r->attempt;
    reload_files_take_late(&r->files);
    check_probation(r);
    drop_older(r);
    bool idle = a->phase == RELOAD_IDLE;
    reload_attempt_step(a);
    if (idle)
        maybe_begin(r);
}

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)loop;
    (void)revents;
    step(async->data);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    step(timer->data);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A reload that loads finds out by itself, at its end, whether files have changed meanwhile. */
static void files_changed(struct watch *w, uint64_t first_us)
{
    struct reload *r = w->owner;
    if (reload_attempt_is_loading(&r->attempt))
        return;
    (void)reload_requests_load(&r->requests, "its files changed", first_us);
    wake(r);
}

/* The workers load the app one after the other when the server starts: have all read the same? */
static bool workers_agree(const struct server *s)
{
    for (uint32_t i = 1; i < s->worker_count; i++) {
        if (!reload_files_agree(s->workers[0].site, s->workers[i].site))
            return false;
    }
    return true;
}

void reload_watch(struct reload *r)
{
    struct server *s = r->server;
    if (reload_files_watch(&r->files, s->loop, &s->log, files_changed, r)) {
        log_write(&s->log, LOG_WARN,
                  "files are not watched: the system gives no inotify (sysctl "
                  "fs.inotify.max_user_instances); SIGHUP reloads too");
        return;
    }
    reload_files_serve(&r->files, s->workers[0].site, !r->attempt.options.fixed_listeners);
}

/* ---- life ------------------------------------------------------------------------------------ */

int reload_init(struct reload *r, struct server *s, const struct reload_options *options)
{
    *r = (struct reload){.server = s};
    s->reload = r;
    reload_requests_init(&r->requests);
    reload_files_init(&r->files);
    int err = reload_round_init(&r->round, s->worker_count, s->loop, &r->wake);
    reload_attempt_init(&r->attempt, s, options, &r->requests, &r->files, &r->round, ended);
    ev_async_init(&r->wake, on_wake);
    ev_timer_init(&r->pause, on_pause_over, 0, 0);
    r->wake.data = r->pause.data = r;
    ev_async_start(s->loop, &r->wake);
    if (err) {
        reload_deinit(r);
        return err;
    }
    /* Certificates count when they are watched. */
    reload_files_serve(&r->files, s->workers[0].site, false);
    if (!workers_agree(s))
        (void)reload_request(r, "its files changed");
    return 0;
}

void reload_deinit(struct reload *r)
{
    struct server *s = r->server;
    if (!s)
        return;
    ev_async_stop(s->loop, &r->wake);
    ev_timer_stop(s->loop, &r->pause);
    reload_attempt_deinit(&r->attempt);
    reload_round_deinit(&r->round);
    reload_files_deinit(&r->files);
    reload_requests_deinit(&r->requests);
    s->reload = NULL;
    r->server = NULL;
}
