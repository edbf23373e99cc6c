#include "engine/reload/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/reload/reload_files.h"
#include "engine/worker/worker.h"

/* Between the end of one reload and the next: a storm of causes is a few reloads a second. */
enum { PAUSE_US = 20000 };
/* Of an app that changes its own files whenever it is loaded. */
enum { AGAIN_MAX = 100 };
enum { RELOAD_TEXT_BYTES = 2 * RELOAD_WHY_BYTES + RELOAD_TRACE_BYTES + 1024 };
/* What a worker gets beyond limits.reload_seconds, which ends the app's code. */
static const double overdue_seconds = 1;

static double milliseconds(uint64_t from_us, uint64_t to_us)
{
    return (double)(to_us - from_us) / 1000;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Under the lock. */
static uint32_t wish(struct reload *r, enum reload_kind kind, const char *cause, uint64_t since_us)
{
    struct reload_wish *w = &r->wishes[kind];
    if (!w->wanted) {
        *w = (struct reload_wish){
            .wanted = true, .ticket = ++r->ticket, .from = r->generation, .since_us = since_us};
        snprintf(w->cause, sizeof(w->cause), "%s", cause);
    }
    return w->ticket;
}

static uint32_t request(struct reload *r, const char *cause, uint64_t since_us)
{
    pthread_mutex_lock(&r->round.lock);
    uint32_t ticket = wish(r, RELOAD_LOAD, cause, since_us);
    pthread_mutex_unlock(&r->round.lock);
    ev_async_send(r->server->loop, &r->round.wake);
    return ticket;
}

uint32_t reload_request(struct reload *r, const char *cause)
{
    return request(r, cause, clock_monotonic_us());
}

uint32_t reload_rollback(struct reload *r, const char *cause)
{
    uint64_t now = clock_monotonic_us();
    pthread_mutex_lock(&r->round.lock);
    struct reload_wish *back = &r->wishes[RELOAD_BACK];
    if (back->by_itself)
        back->wanted = false; /* this one counts for more */
    uint32_t ticket = r->going_back ? r->going_back : wish(r, RELOAD_BACK, cause, now);
    pthread_mutex_unlock(&r->round.lock);
    ev_async_send(r->server->loop, &r->round.wake);
    return ticket;
}

/* Not cut within a character. */
static void keep_failure(struct reload *r, const char *text, size_t len)
{
    size_t n = len < sizeof(r->failure) ? len : sizeof(r->failure) - 1;
    while (n > 0 && n < len && ((uint8_t)text[n] & 0xC0) == 0x80)
        n--;
    memcpy(r->failure, text, n);
    r->failure[n] = '\0';
}

void reload_failed(struct reload *r, uint32_t generation, const char *text, size_t len)
{
    pthread_mutex_lock(&r->round.lock);
    uint32_t before = r->probation.failures;
    bool bad = probation_note(&r->probation, generation, clock_monotonic_ms());
    if (before == 0 && r->probation.failures == 1)
        keep_failure(r, text, len);
    r->bad = r->bad || bad;
    pthread_mutex_unlock(&r->round.lock);
    if (bad)
        ev_async_send(r->server->loop, &r->round.wake);
}

void reload_observe(struct reload *r, struct reload_observer *o)
{
    o->next = r->observers;
    r->observers = o;
}

/* A reload is on its way, and has not come so far that the workers take it up. */
static bool is_loading(const struct reload *r)
{
    return r->kind == RELOAD_LOAD && (r->phase == RELOAD_READING || r->phase == RELOAD_PREPARING);
}

/* A reload that has begun looks for itself whether what it has read is what counts. */
static void files_changed(struct watch *w, uint64_t first_us)
{
    struct reload *r = w->owner;
    if (!is_loading(r))
        (void)request(r, "its files changed", first_us);
}

static bool post_all(struct reload *r, reload_letter_maker *make, uint32_t number)
{
    struct server *s = r->server;
    struct letter *first = NULL;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = make(&r->round, number);
        if (l) {
            l->next = first;
            first = l;
            continue;
        }
        while ((l = first)) {
            first = l->next;
            l->drop(l);
        }
        return false; /* all get it, or none */
    }
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = first;
        first = l->next;
        mailbox_post(&s->workers[i].mailbox, l);
    }
    return true;
}

/* ---- one attempt ----------------------------------------------------------------------------- */

/* The set before is no longer used, or never was. */
static void set_sources(struct reload *r, struct sources *s)
{
    pthread_mutex_lock(&r->round.lock);
    struct sources *before = r->round.sources;
    r->round.sources = s;
    pthread_mutex_unlock(&r->round.lock);
    sources_unref(before);
}

static bool still_reads(const struct reload *r)
{
    return r->round.sources && !sources_done(r->round.sources);
}

static void over(struct reload *r)
{
    if (r->round.sources)
        sources_cancel(r->round.sources);
    ev_timer_stop(r->server->loop, &r->overdue);
    pthread_mutex_lock(&r->round.lock);
    r->going_back = 0;
    pthread_mutex_unlock(&r->round.lock);
    r->phase = RELOAD_IDLE;
    r->ended_us = clock_monotonic_us();
    ev_async_send(r->server->loop, &r->round.wake); /* somebody may have asked meanwhile */
}

static void tell(struct reload *r, bool ok, const char *text)
{
    const struct reload_end end = {
        ok, r->kind == RELOAD_BACK, r->wish.by_itself, r->generation, r->wish.ticket, text,
    };
    enum log_level level = !ok ? LOG_ERROR : r->wish.by_itself ? LOG_WARN : LOG_INFO;
    log_write(&r->server->log, level, "%s", text);
    for (struct reload_observer *o = r->observers; o; o = o->next)
        o->ended(o, &end);
}

/* What was prepared is forgotten, wholly or by half. */
static void abandon(struct reload *r)
{
    pthread_mutex_lock(&r->round.lock);
    r->round.number++; /* answers that are still missing come too late */
    pthread_mutex_unlock(&r->round.lock);
    (void)post_all(r, reload_abandon_letter,
                   0); /* without memory, the next attempt begins with that */
    over(r);
}

static void fail(struct reload *r, const char *why)
{
    char text[RELOAD_TEXT_BYTES];
    bool back = r->kind == RELOAD_BACK;
    bool by_itself = back && r->wish.by_itself;
    snprintf(text, sizeof(text), "%s failed, generation %u serves on: %s%s%s",
             back ? "rollback" : "reload", r->generation, why,
             by_itself ? "; it was wanted since " : "", by_itself ? r->why : "");
    count_shared(&r->server->counters, COUNT_RELOAD_FAILURES, 1);
    abandon(r);
    tell(r, false, text);
}

/* What was read is not what counts: its files are being written. */
static void once_more(struct reload *r)
{
    log_write(&r->server->log, LOG_DEBUG, "%s changed while it was read: once more", r->app);
    pthread_mutex_lock(&r->round.lock);
    if (!r->wishes[RELOAD_LOAD].wanted)
        r->wishes[RELOAD_LOAD] = r->wish;
    pthread_mutex_unlock(&r->round.lock);
    abandon(r);
}

/* Why the attempt, a rollback, cannot even begin; or NULL. */
static const char *impossible(struct reload *r)
{
    if (r->earlier == 0)
        return "there is no earlier generation to go back to: one is kept from each reload to the "
               "next";
    if (r->wish.from != r->generation) {
        snprintf(r->why, sizeof(r->why),
                 "it was meant for generation %u, which does not serve any more", r->wish.from);
        return r->why;
    }
    return NULL;
}

static void expect_end(struct reload *r)
{
    struct ev_loop *loop = r->server->loop;
    ev_timer_stop(loop, &r->overdue);
    ev_timer_set(&r->overdue,
                 admission_limits(&r->server->admission).reload_seconds + overdue_seconds, 0);
    ev_now_update(loop);
    ev_timer_start(loop, &r->overdue);
}

static void ask_workers(struct reload *r)
{
    r->phase = RELOAD_PREPARING;
    if (post_all(r, r->kind == RELOAD_BACK ? reload_restore_letter : reload_prepare_letter,
                 r->round.number))
        expect_end(r);
    else
        fail(r, error_text(ERR_MEMORY));
}

/* One thread at a time: that of an attempt before may still be at its last file. */
static void read_files(struct reload *r)
{
    if (still_reads(r))
        return;
    bool has_read = r->round.sources && sources_number(r->round.sources) == r->round.number;
    if (!has_read) {
        set_sources(r, reload_files_ahead(r, r->round.number));
        if (r->round.sources &&
            sources_begin(r->round.sources, r->compile, r->server->loop, &r->round.wake) == 0)
            return;
        set_sources(r, NULL);
    }
    ask_workers(r);
}

static void begin(struct reload *r)
{
    bool back = r->kind == RELOAD_BACK;
    const char *problem = back ? impossible(r) : NULL;
    if (problem) {
        fail(r, problem);
        return;
    }
    pthread_mutex_lock(&r->round.lock);
    r->round.missing = r->server->worker_count;
    r->going_back = back ? r->wish.ticket : 0;
    r->round.number++;
    pthread_mutex_unlock(&r->round.lock);
    if (back && !r->wish.by_itself)
        snprintf(r->why, sizeof(r->why), "%s", r->wish.cause);
    if (back) {
        ask_workers(r);
        return;
    }
    r->phase = RELOAD_READING;
    expect_end(r);
    read_files(r);
}

/* Workers that read different things would not agree either. */
static bool half_written(struct reload *r)
{
    if (watch_busy(&r->watch))
        return true;
    for (uint32_t i = 0; i < r->server->worker_count; i++) {
        if (reload_files_outdated(r->round.answers[i].site))
            return true;
    }
    return false;
}

/* All answers are there: can this be committed? */
static int judge(struct reload *r, char why[RELOAD_WHY_BYTES])
{
    struct server *s = r->server;
    const struct site *first = r->round.answers[0].site;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        if (r->round.answers[i].status < 0) {
            snprintf(why, RELOAD_WHY_BYTES, "%s", r->round.answers[i].why);
            if (r->round.answers[i].site && r->kind == RELOAD_LOAD)
                reload_files_refused(r, r->round.answers[i].site);
            return r->round.answers[i].status;
        }
    }
    for (uint32_t i = 1; i < s->worker_count; i++) {
        if (!site_agrees(first, r->round.answers[i].site)) {
            snprintf(why, RELOAD_WHY_BYTES, SITE_DISAGREE, r->app, s->worker_count);
            return ERR_INVALID;
        }
    }
    if (r->fixed_listeners)
        return 0;
    if (first->listener_count == 0 && s->listener_count > 0) {
        snprintf(why, RELOAD_WHY_BYTES, "%s: nowhere to listen: call mw.listen{port=8080} in it",
                 r->app);
        return ERR_INVALID;
    }
    reload_files_look(r, first); /* before they are read */
    char refused[SERVER_WHY_BYTES] = "";
    int err =
        server_plan_listeners(s, &r->listeners, first->listeners, first->listener_count, refused);
    if (err)
        snprintf(why, RELOAD_WHY_BYTES, "%s", refused);
    return err;
}

/* Under the lock: the attempt's generation serves. */
static void take_over(struct reload *r)
{
    const struct limits limits = admission_limits(&r->server->admission);
    uint64_t now = clock_monotonic_ms();
    r->generation++;
    r->bad = false;
    if (r->kind == RELOAD_BACK) {
        r->code = r->earlier;
        r->earlier = 0;
        probation_take_back(&r->probation, r->generation, now);
        return;
    }
    if (!r->keep_earlier)
        r->earlier = r->code;
    r->code = r->generation;
    probation_begin(&r->probation, r->generation, limits.probation_seconds,
                    limits.probation_failures, now);
}

static void commit(struct reload *r)
{
    struct server *s = r->server;
    const struct site *site = r->round.answers[0].site;
    /* Before the workers own it again. */
    if (r->kind == RELOAD_LOAD)
        reload_files_serve(r, site);
    else
        reload_files_taken_back(r, site);
    admission_set_limits(&s->admission, &site->limits);
    pthread_mutex_lock(&r->round.lock);
    r->round.missing = s->worker_count;
    r->keep_earlier = r->probation.failed;
    r->round.facts = (struct reload_facts){
        .taken_back = r->kind == RELOAD_BACK ? r->why : NULL,
        .failed_probation = r->keep_earlier,
    };
    bool posted = post_all(r, reload_commit_letter, r->generation + 1);
    if (posted)
        take_over(r);
    pthread_mutex_unlock(&r->round.lock);
    if (!posted) {
        server_abandon_listeners(&r->listeners);
        fail(r, error_text(ERR_MEMORY));
        return;
    }
    r->phase = RELOAD_COMMITTING;
}

static void prepared(struct reload *r)
{
    char why[RELOAD_WHY_BYTES] = "";
    bool again = r->kind == RELOAD_LOAD && r->again < AGAIN_MAX && half_written(r);
    r->again = again ? r->again + 1 : 0;
    if (again)
        once_more(r);
    else if (judge(r, why))
        fail(r, why);
    else
        commit(r);
}

/* Over all workers. */
struct span {
    uint64_t first_us;
    uint64_t last_us;
    uint64_t commit_us;
    const struct pauses *pauses; /* of the worker that was held up longest */
};

static struct span measure(const struct reload *r)
{
    struct span of = {.first_us = UINT64_MAX};
    for (uint32_t i = 0; i < r->server->worker_count; i++) {
        const struct reload_answer *a = &r->round.answers[i];
        of.first_us = a->began_us < of.first_us ? a->began_us : of.first_us;
        of.last_us = a->ended_us > of.last_us ? a->ended_us : of.last_us;
        if (a->pauses.commit.us > of.commit_us)
            of.commit_us = a->pauses.commit.us;
        if (!of.pauses || a->pauses.longest.us > of.pauses->longest.us)
            of.pauses = &a->pauses;
    }
    return of;
}

static void committed(struct reload *r)
{
    struct server *s = r->server;
    if (!r->fixed_listeners)
        server_commit_listeners(s, &r->listeners);
    const struct span span = measure(r);
    bool back = r->kind == RELOAD_BACK;
    count_shared(&s->counters, back ? COUNT_ROLLBACKS : COUNT_RELOADS, 1);
    char code[64] = "";
    char text[RELOAD_TEXT_BYTES];
    if (back)
        snprintf(code, sizeof(code), ", the code of generation %u", r->code);
    snprintf(text, sizeof(text),
             "%s%s (%s): generation %u serves%s, after %.1f ms; %u worker%s switched within %.2f "
             "ms; longest pause %.2f ms (%s), of the commit %.2f ms%s%s",
             back ? "rolled back" : "reloaded ", back ? "" : r->app, r->wish.cause, r->generation,
             code, milliseconds(r->wish.since_us, span.last_us), s->worker_count,
             s->worker_count == 1 ? "" : "s", milliseconds(span.first_us, span.last_us),
             milliseconds(0, span.pauses->longest.us), pause_name(span.pauses->kind),
             milliseconds(0, span.commit_us), r->wish.by_itself ? "; " : "",
             r->wish.by_itself ? r->why : "");
    over(r);
    tell(r, true, text);
}

static void overdue(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct reload *r = timer->data;
    if (r->phase == RELOAD_READING)
        fail(r, "its files were not read within limits.reload_seconds: the disk does not answer");
    else if (r->phase == RELOAD_PREPARING)
        fail(r, "a worker does not answer: a hook, or the top level, does not return");
    else if (r->phase == RELOAD_COMMITTING)
        log_write(&r->server->log, LOG_ERROR,
                  "a worker has not taken up generation %u yet: a hook does not return",
                  r->generation);
}

/* ---- the main thread's loop ------------------------------------------------------------------ */

/* Under the lock: what is next; RELOAD_KINDS: nothing. */
static enum reload_kind next_kind(const struct reload *r)
{
    const struct reload_wish *load = &r->wishes[RELOAD_LOAD];
    const struct reload_wish *back = &r->wishes[RELOAD_BACK];
    if (back->wanted && (!load->wanted || back->ticket < load->ticket))
        return RELOAD_BACK;
    return load->wanted ? RELOAD_LOAD : RELOAD_KINDS;
}

/* Under the lock: the attempt is the wish of this kind. */
static void take_wish(struct reload *r, enum reload_kind kind)
{
    r->kind = kind;
    r->wish = r->wishes[kind];
    r->wishes[kind].wanted = false;
}

/* Under the lock: is somebody's rollback possible? */
static bool can_go_back(const struct reload *r, const struct reload_wish *back)
{
    return back->wanted && !back->by_itself && r->earlier && back->from == r->generation;
}

/* Such a rollback drops the reload that was asked for before it. */
static void drop_older(struct reload *r)
{
    const struct reload_wish *back = &r->wishes[RELOAD_BACK];
    struct reload_wish *load = &r->wishes[RELOAD_LOAD];
    char cause[RELOAD_CAUSE_BYTES] = "";
    pthread_mutex_lock(&r->round.lock);
    bool able = can_go_back(r, back);
    bool underway = able && is_loading(r);
    bool waits = able && load->wanted && load->ticket < back->ticket;
    if (underway || waits)
        memcpy(cause, underway ? r->wish.cause : load->cause, sizeof(cause));
    if (waits)
        load->wanted = false;
    pthread_mutex_unlock(&r->round.lock);
    if (underway)
        abandon(r);
    if (underway || waits)
        log_write(&r->server->log, LOG_INFO, "the reload (%s) is dropped: a rollback was asked for",
                  cause);
}

static void begin_next(struct reload *r)
{
    pthread_mutex_lock(&r->round.lock);
    enum reload_kind kind = next_kind(r);
    if (kind != RELOAD_KINDS)
        take_wish(r, kind);
    pthread_mutex_unlock(&r->round.lock);
    if (kind == RELOAD_KINDS)
        return;
    if (r->wish.by_itself && r->wish.from != r->generation)
        log_write(&r->server->log, LOG_WARN,
                  "not rolled back, for generation %u serves already: %s", r->generation, r->why);
    else
        begin(r);
}

static void maybe_begin(struct reload *r)
{
    struct server *s = r->server;
    pthread_mutex_lock(&r->round.lock);
    enum reload_kind kind = next_kind(r);
    pthread_mutex_unlock(&r->round.lock);
    if (kind == RELOAD_KINDS || atomic_load(&s->draining))
        return;
    uint64_t passed_us = clock_monotonic_us() - r->ended_us;
    uint64_t left_us = passed_us < PAUSE_US ? PAUSE_US - passed_us : 0;
    if (left_us == 0 && (kind == RELOAD_BACK || !watch_busy(&r->watch))) {
        begin_next(r);
        return;
    }
    if (ev_is_active(&r->pause))
        return;
    ev_now_update(s->loop);
    ev_timer_set(&r->pause, (double)(left_us ? left_us : PAUSE_US) / 1e6, 0);
    ev_timer_start(s->loop, &r->pause);
}

/* The generation that serves has failed its probation. */
static void look_at_probation(struct reload *r)
{
    pthread_mutex_lock(&r->round.lock);
    struct reload_wish *back = &r->wishes[RELOAD_BACK];
    if (r->bad && !(back->wanted && !back->by_itself)) { /* else somebody was faster */
        const struct probation *p = &r->probation;
        back->wanted = false; /* of a generation that was replaced */
        (void)wish(r, RELOAD_BACK, "probation", clock_monotonic_us());
        back->by_itself = true;
        snprintf(
            r->why, sizeof(r->why),
            "generation %u failed %u times in the %.1f s since it served, and what served before "
            "%u times in the %u s before that: %s",
            p->generation, p->failures, (double)(clock_monotonic_ms() - p->began_ms) / 1000,
            p->before, p->seconds, r->failure);
    }
    r->bad = false;
    pthread_mutex_unlock(&r->round.lock);
}

static void step(struct reload *r)
{
    pthread_mutex_lock(&r->round.lock);
    bool complete = r->round.missing == 0;
    pthread_mutex_unlock(&r->round.lock);
    reload_files_late(r);
    look_at_probation(r);
    drop_older(r);
    if (r->phase == RELOAD_IDLE && !still_reads(r))
        set_sources(r, NULL);
    if (r->phase == RELOAD_IDLE)
        maybe_begin(r);
    else if (r->phase == RELOAD_READING)
        read_files(r);
    else if (r->phase == RELOAD_PREPARING && complete)
        prepared(r);
    else if (r->phase == RELOAD_COMMITTING && complete)
        committed(r);
}

static void woken(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)loop;
    (void)revents;
    step(wake->data);
}

static void paused(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    step(timer->data);
}

/* ---- life ------------------------------------------------------------------------------------ */

int reload_init(struct reload *r, struct server *s, const char *app)
{
    *r = (struct reload){.generation = 1, .code = 1};
    probation_init(&r->probation, 1, clock_monotonic_ms());
    r->app = strdup(app);
    r->round.answers = calloc(s->worker_count, sizeof(*r->round.answers));
    if (r->app == NULL || r->round.answers == NULL) {
        free(r->app);
        free(r->round.answers);
        return ERR_MEMORY;
    }
    pthread_mutex_init(&r->round.lock, NULL);
    ev_async_init(&r->round.wake, woken);
    ev_timer_init(&r->pause, paused, 0, 0);
    ev_timer_init(&r->overdue, overdue, 0, 0);
    r->round.wake.data = r->pause.data = r->overdue.data = r;
    ev_async_start(s->loop, &r->round.wake);
    r->round.loop = s->loop;
    r->server = s;
    s->reload = r;
    reload_files_serve(r, s->workers[0].site);
    if (!reload_files_agree(s))
        (void)reload_request(r, "its files changed");
    return 0;
}

void reload_watch(struct reload *r)
{
    struct server *s = r->server;
    if (watch_init(&r->watch, s->loop, &s->log, files_changed)) {
        log_write(&s->log, LOG_WARN,
                  "files are not watched: the system gives no inotify (sysctl "
                  "fs.inotify.max_user_instances); SIGHUP reloads too");
        return;
    }
    r->watch.owner = r;
    r->watching = true;
    reload_files_serve(r, s->workers[0].site);
}

void reload_deinit(struct reload *r)
{
    struct server *s = r->server;
    if (s == NULL)
        return;
    ev_async_stop(s->loop, &r->round.wake);
    ev_timer_stop(s->loop, &r->pause);
    ev_timer_stop(s->loop, &r->overdue);
    watch_deinit(&r->watch);
    server_abandon_listeners(&r->listeners);
    reload_files_forget(r);
    if (r->round.sources)
        sources_leave(r->round.sources);
    sources_unref(r->round.sources);
    free(r->round.answers);
    free(r->app);
    pthread_mutex_destroy(&r->round.lock);
    s->reload = NULL;
    r->server = NULL;
}
