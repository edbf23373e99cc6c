#include "engine/reload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/handover.h"
#include "engine/worker.h"

/* Between the end of one reload and the next: a storm of causes is a few reloads a second. */
enum { PAUSE_US = 20000 };
/* Of an app that changes its own files whenever it is loaded. */
enum { AGAIN_MAX = 100 };
enum { RELOAD_TEXT_BYTES = RELOAD_WHY_BYTES + 4096 };
/* What a worker gets beyond limits.reload_seconds, which ends the app's code. */
static const double overdue_seconds = 1;

static double milliseconds(uint64_t from_us, uint64_t to_us)
{
    return (double)(to_us - from_us) / 1000;
}

/* ---- the worker's part ----------------------------------------------------------------------- */

static void answer(struct worker *w, uint32_t number, int status, const char *why)
{
    struct reload *r = w->server->reload;
    pthread_mutex_lock(&r->lock);
    if (number == r->number) { /* else it came too late */
        struct reload_answer *a = &r->answers[w->index];
        a->status = status;
        a->site = w->next;
        snprintf(a->why, sizeof(a->why), "%s", why);
        r->missing--;
    }
    pthread_mutex_unlock(&r->lock);
    ev_async_send(w->server->loop, &r->wake);
}

void reload_abandon(struct worker *w)
{
    if (w->next)
        w->abandon(w->script);
    site_free(w->next);
    w->next = NULL;
}

void reload_prepare(struct worker *w, uint32_t number)
{
    char why[RELOAD_WHY_BYTES] = "";
    reload_abandon(w); /* of an attempt whose end was not told */
    w->next = site_new();
    int status = w->next ? w->prepare(w, w->next, why, sizeof(why)) : ERR_MEMORY;
    if (status == 0)
        status = site_succeed(w->next, w->site);
    if (status == ERR_MEMORY && !why[0])
        snprintf(why, sizeof(why), "%s", error_text(status));
    answer(w, number, status, why);
}

void reload_commit(struct worker *w, uint32_t generation)
{
    struct reload *r = w->server->reload;
    struct reload_answer *a = &r->answers[w->index]; /* the main thread does not look now */
    a->began_us = clock_monotonic_us();
    w->next->generation = generation;
    handover(w);
    a->ended_us = clock_monotonic_us();
    pthread_mutex_lock(&r->lock);
    r->missing--;
    pthread_mutex_unlock(&r->lock);
    ev_async_send(w->server->loop, &r->wake);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uint32_t request(struct reload *r, const char *cause, uint64_t since_us)
{
    pthread_mutex_lock(&r->lock);
    uint32_t ticket = r->ticket;
    if (!r->wanted) {
        r->wanted = true;
        r->wanted_us = since_us;
        snprintf(r->wanted_for, sizeof(r->wanted_for), "%s", cause);
    }
    pthread_mutex_unlock(&r->lock);
    ev_async_send(r->server->loop, &r->wake);
    return ticket;
}

uint32_t reload_request(struct reload *r, const char *cause)
{
    return request(r, cause, clock_monotonic_us());
}

void reload_observe(struct reload *r, struct reload_observer *o)
{
    o->next = r->observers;
    r->observers = o;
}

/* An attempt that has begun looks for itself whether what it has read is what counts. */
static void files_changed(struct watch *w, uint64_t first_us)
{
    struct reload *r = w->owner;
    if (r->phase != RELOAD_PREPARING)
        (void)request(r, "its files changed", first_us);
}

static bool post_all(struct reload *r, enum letter_kind kind, uint32_t number)
{
    struct server *s = r->server;
    struct letter *first = NULL;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = letter_new(kind, NULL, 0);
        if (l) {
            l->number = number;
            l->next = first;
            first = l;
            continue;
        }
        while ((l = first)) {
            first = l->next;
            letter_free(l);
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

/* ---- files ----------------------------------------------------------------------------------- */

void reload_late_file(struct reload *r, const char *path, const char *digest)
{
    pthread_mutex_lock(&r->lock);
    bool known = false;
    for (size_t i = 0; i < r->late_count && !known; i++)
        known = strcmp(r->late_files[i].path, path) == 0;
    struct site_file *more = NULL;
    if (!known)
        more = realloc(r->late_files, (r->late_count + 1) * sizeof(*more));
    if (more)
        r->late_files = more;
    char *copy = more ? strdup(path) : NULL;
    if (copy) {
        more[r->late_count] = (struct site_file){.path = copy};
        snprintf(more[r->late_count++].digest, SITE_DIGEST_BYTES, "%s", digest);
    }
    pthread_mutex_unlock(&r->lock);
    if (copy)
        ev_async_send(r->server->loop, &r->wake);
}

static void forget_late_files(struct reload *r)
{
    for (size_t i = 0; i < r->late_count; i++)
        free(r->late_files[i].path);
    free(r->late_files);
    r->late_files = NULL;
    r->late_count = 0;
}

static void watch_late_files(struct reload *r)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->late_count; i++)
        watch_add(&r->watch, r->late_files[i].path, r->late_files[i].digest);
    bool some = r->late_count > 0;
    forget_late_files(r);
    pthread_mutex_unlock(&r->lock);
    if (some)
        watch_end(&r->watch);
}

static void each_certificate(struct reload *r, const struct site *site,
                             void (*fn)(struct watch *w, const char *path))
{
    for (size_t i = 0; !r->fixed_listeners && i < site->listener_count; i++) {
        const struct site_listener *l = &site->listeners[i];
        for (size_t j = 0; j < l->certificate_count; j++) {
            fn(&r->watch, l->certificates[j].cert_path);
            if (l->certificates[j].key_path)
                fn(&r->watch, l->certificates[j].key_path);
        }
    }
}

/* After an attempt that failed, what serves is watched as well. */
static void watch_site(struct reload *r, const struct site *site, bool served)
{
    struct watch *w = &r->watch;
    if (!r->watching)
        return;
    watch_begin(w);
    for (size_t i = 0; i < site->file_count; i++)
        watch_add(w, site->files[i].path, site->files[i].digest);
    if (served)
        each_certificate(r, site, watch_keep);
    else
        watch_keep_all(w);
    watch_end(w);
}

/* ---- one attempt ----------------------------------------------------------------------------- */

static void over(struct reload *r)
{
    ev_timer_stop(r->server->loop, &r->overdue);
    r->phase = RELOAD_IDLE;
    r->ended_us = clock_monotonic_us();
    ev_async_send(r->server->loop, &r->wake); /* somebody may have asked meanwhile */
}

static void tell(struct reload *r, bool ok, const char *text)
{
    pthread_mutex_lock(&r->lock);
    const struct reload_end end = {ok, r->generation, r->ticket - 1, text};
    pthread_mutex_unlock(&r->lock);
    log_write(&r->server->log, ok ? LOG_INFO : LOG_ERROR, "%s", text);
    for (struct reload_observer *o = r->observers; o; o = o->next)
        o->ended(o, &end);
}

static void fail(struct reload *r, const char *why)
{
    struct server *s = r->server;
    char text[RELOAD_TEXT_BYTES];
    snprintf(text, sizeof(text), "reload failed, generation %u serves on: %s", r->generation, why);
    count_shared(&s->counters, COUNT_RELOAD_FAILURES, 1);
    pthread_mutex_lock(&r->lock);
    r->number++; /* answers that are still missing come too late */
    pthread_mutex_unlock(&r->lock);
    (void)post_all(r, LETTER_ABANDON, 0); /* without memory, the next attempt begins with that */
    over(r);
    tell(r, false, text);
}

/* What was read is not what counts: its files are being written. */
static void once_more(struct reload *r)
{
    log_write(&r->server->log, LOG_DEBUG, "%s changed while it was read: once more", r->app);
    pthread_mutex_lock(&r->lock);
    bool wanted = r->wanted;
    r->wanted = true;
    if (!wanted) {
        r->wanted_us = r->asked_us;
        memcpy(r->wanted_for, r->cause, sizeof(r->cause));
    }
    r->number++;
    pthread_mutex_unlock(&r->lock);
    (void)post_all(r, LETTER_ABANDON, 0);
    over(r);
}

static void begin(struct reload *r)
{
    struct server *s = r->server;
    pthread_mutex_lock(&r->lock);
    r->wanted = false;
    r->asked_us = r->wanted_us;
    memcpy(r->cause, r->wanted_for, sizeof(r->cause));
    r->missing = s->worker_count;
    uint32_t number = ++r->number;
    r->ticket++;
    pthread_mutex_unlock(&r->lock);
    r->phase = RELOAD_PREPARING;
    if (!post_all(r, LETTER_PREPARE, number)) {
        fail(r, error_text(ERR_MEMORY));
        return;
    }
    ev_timer_stop(s->loop, &r->overdue);
    ev_timer_set(&r->overdue, server_limits(s).reload_seconds + overdue_seconds, 0);
    ev_now_update(s->loop);
    ev_timer_start(s->loop, &r->overdue);
}

/* Are these files not any more what they were when they were read? */
static bool outdated(const struct site *site)
{
    char now[SITE_DIGEST_BYTES];
    for (size_t i = 0; site && i < site->file_count; i++) {
        watch_digest(site->files[i].path, now);
        if (strcmp(now, site->files[i].digest) != 0)
            return true;
    }
    return false;
}

/* Workers that read different things would not agree either. */
static bool half_written(struct reload *r)
{
    if (watch_busy(&r->watch))
        return true;
    for (uint32_t i = 0; i < r->server->worker_count; i++) {
        if (outdated(r->answers[i].site))
            return true;
    }
    return false;
}

/* All answers are there: can this be committed? */
static int judge(struct reload *r, char why[RELOAD_WHY_BYTES])
{
    struct server *s = r->server;
    const struct site *first = r->answers[0].site;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        if (r->answers[i].status < 0) {
            snprintf(why, RELOAD_WHY_BYTES, "%s", r->answers[i].why);
            if (r->answers[i].site)
                watch_site(r, r->answers[i].site, false);
            return r->answers[i].status;
        }
    }
    for (uint32_t i = 1; i < s->worker_count; i++) {
        if (!site_agrees(first, r->answers[i].site)) {
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
    if (r->watching)
        each_certificate(r, first, watch_look); /* before they are read */
    char refused[SERVER_WHY_BYTES] = "";
    int err =
        server_plan_listeners(s, &r->listeners, first->listeners, first->listener_count, refused);
    if (err)
        snprintf(why, RELOAD_WHY_BYTES, "%s", refused);
    return err;
}

static void commit(struct reload *r)
{
    struct server *s = r->server;
    const struct site *site = r->answers[0].site;
    /* Before the workers own it again. */
    watch_site(r, site, true);
    server_set_limits(s, &site->limits);
    pthread_mutex_lock(&r->lock);
    r->missing = s->worker_count;
    pthread_mutex_unlock(&r->lock);
    if (!post_all(r, LETTER_COMMIT, r->generation + 1)) {
        server_abandon_listeners(&r->listeners);
        fail(r, error_text(ERR_MEMORY));
        return;
    }
    r->generation++;
    r->phase = RELOAD_COMMITTING;
}

static void prepared(struct reload *r)
{
    char why[RELOAD_WHY_BYTES] = "";
    bool again = r->again < AGAIN_MAX && half_written(r);
    r->again = again ? r->again + 1 : 0;
    if (again)
        once_more(r);
    else if (judge(r, why))
        fail(r, why);
    else
        commit(r);
}

static void committed(struct reload *r)
{
    struct server *s = r->server;
    if (!r->fixed_listeners)
        server_commit_listeners(s, &r->listeners);
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct reload_answer *a = &r->answers[i];
        first = a->began_us < first ? a->began_us : first;
        last = a->ended_us > last ? a->ended_us : last;
    }
    count_shared(&s->counters, COUNT_RELOADS, 1);
    char text[RELOAD_TEXT_BYTES];
    snprintf(text, sizeof(text),
             "reloaded %s (%s): generation %u serves, after %.1f ms; %u worker%s switched within "
             "%.2f ms",
             r->app, r->cause, r->generation, milliseconds(r->asked_us, last), s->worker_count,
             s->worker_count == 1 ? "" : "s", milliseconds(first, last));
    over(r);
    tell(r, true, text);
}

static void overdue(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct reload *r = timer->data;
    if (r->phase == RELOAD_PREPARING)
        fail(r, "a worker does not answer: a hook, or the top level, does not return");
    else if (r->phase == RELOAD_COMMITTING)
        log_write(&r->server->log, LOG_ERROR,
                  "a worker has not taken up generation %u yet: a hook does not return",
                  r->generation);
}

/* ---- the main thread's loop ------------------------------------------------------------------ */

static void maybe_begin(struct reload *r)
{
    struct server *s = r->server;
    pthread_mutex_lock(&r->lock);
    bool wanted = r->wanted;
    pthread_mutex_unlock(&r->lock);
    if (!wanted || atomic_load(&s->draining))
        return;
    uint64_t passed_us = clock_monotonic_us() - r->ended_us;
    uint64_t left_us = passed_us < PAUSE_US ? PAUSE_US - passed_us : 0;
    if (left_us == 0 && !watch_busy(&r->watch)) {
        begin(r);
        return;
    }
    if (ev_is_active(&r->pause))
        return;
    ev_now_update(s->loop);
    ev_timer_set(&r->pause, (double)(left_us ? left_us : PAUSE_US) / 1e6, 0);
    ev_timer_start(s->loop, &r->pause);
}

static void step(struct reload *r)
{
    pthread_mutex_lock(&r->lock);
    bool complete = r->missing == 0;
    pthread_mutex_unlock(&r->lock);
    if (r->watching)
        watch_late_files(r);
    if (r->phase == RELOAD_IDLE)
        maybe_begin(r);
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
    *r = (struct reload){.generation = 1, .ticket = 1};
    r->app = strdup(app);
    r->answers = calloc(s->worker_count, sizeof(*r->answers));
    if (r->app == NULL || r->answers == NULL) {
        free(r->app);
        free(r->answers);
        return ERR_MEMORY;
    }
    pthread_mutex_init(&r->lock, NULL);
    ev_async_init(&r->wake, woken);
    ev_timer_init(&r->pause, paused, 0, 0);
    ev_timer_init(&r->overdue, overdue, 0, 0);
    r->wake.data = r->pause.data = r->overdue.data = r;
    ev_async_start(s->loop, &r->wake);
    r->server = s;
    s->reload = r;
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
    watch_site(r, s->workers[0].site, true);
}

void reload_deinit(struct reload *r)
{
    struct server *s = r->server;
    if (s == NULL)
        return;
    ev_async_stop(s->loop, &r->wake);
    ev_timer_stop(s->loop, &r->pause);
    ev_timer_stop(s->loop, &r->overdue);
    watch_deinit(&r->watch);
    server_abandon_listeners(&r->listeners);
    forget_late_files(r);
    free(r->answers);
    free(r->app);
    pthread_mutex_destroy(&r->lock);
    s->reload = NULL;
    r->server = NULL;
}
