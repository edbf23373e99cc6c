#include "engine/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "engine/client/client.h"
#include "engine/client/resolver.h"
#include "engine/control/control.h"
#include "engine/http/http_conn.h"
#include "engine/reload/reload.h"
#include "engine/server.h"
#include "engine/ws_conn.h"
#include "protocol/close_code.h"

static const ev_tstamp sweep_seconds = 0.25;
static const ev_tstamp drain_step_seconds = 0.05;

/* ---- one turn of the loop -------------------------------------------------------------------- */

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
            w->dispatch(w->script);
        w->given.events = NULL;
        batch_clear(&w->running);
    }
    /* What the script caused points at nothing in the arena. */
    w->in.used = 0;
}

void worker_flush(struct worker *w)
{
    while (w->dirty) {
        struct conn *c = w->dirty;
        w->dirty = c->next;
        if (c->state == CONN_DEAD) { /* it stays dirty, so that nobody puts it on the list again */
            c->next = w->dead;
            w->dead = c;
            continue;
        }
        c->dirty = false;
        conn_flush(w, c);
    }
    w->out.used = 0;
}

static void resume_held_back(struct worker *w)
{
    for (uint32_t i = 0; i < w->resume_count; i++) { /* may grow meanwhile */
        struct conn *c = w->resume[i];
        c->resuming = false;
        if (c->state == CONN_HTTP)
            http_conn_resume(w, c);
        else if (c->state == CONN_OPEN || c->state == CONN_CLOSING)
            ws_conn_resume(w, c);
    }
    w->resume_count = 0;
}

static void free_dead(struct worker *w)
{
    while (w->dead) {
        struct conn *c = w->dead;
        w->dead = c->next;
        conn_free(w, c);
    }
}

uint32_t worker_pending(const struct worker *w)
{
    return atomic_load_explicit(&w->conn_count, memory_order_relaxed) + w->timers.running +
           (ev_is_active(&w->input) ? 1 : 0);
}

void worker_exit(struct worker *w, int status)
{
    w->ending = true;
    server_exit(w->server, status);
}

/* A script without listeners has nothing more to do. */
static bool is_idle(const struct worker *w)
{
    return w->until_idle && worker_pending(w) == 0 && (!w->pending || w->pending(w->script) == 0);
}

/* Before the loop sleeps: everything that the turn began is brought to its end. */
static void on_turn_end(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    (void)watcher;
    (void)revents;
    struct worker *w = worker_of(loop);
    do {
        ev_invoke_pending(loop); /* fed by hand below: input that no socket will show again */
        worker_dispatch(w);
        resume_held_back(w);
        topics_drain(w);
        worker_flush(w);
    } while (w->batch.count > 0 || w->resume_count > 0 || w->dirty || w->topics.dirty ||
             ev_pending_count(loop) > 0);
    free_dead(w);
    if (w->ending || is_idle(w))
        ev_break(loop, EVBREAK_ALL);
    if (w->drain_started > 0 && atomic_load_explicit(&w->conn_count, memory_order_relaxed) == 0)
        ev_break(loop, EVBREAK_ALL);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

uint32_t worker_tick(const struct worker *w)
{
    return (uint32_t)((ev_now(w->loop) - w->started) * WORKER_TICKS_PER_SECOND) + 1;
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    uint32_t now = worker_tick(w);
    for (uint32_t i = 0; i < w->slot_cap; i++) {
        uint32_t deadline = *conn_deadline_at(w, i);
        if (deadline && deadline <= now && conn_at(w, i))
            conn_expired(w, conn_at(w, i));
    }
    if (atomic_load_explicit(&w->conn_count, memory_order_relaxed) == 0)
        ev_timer_stop(loop, timer);
}

void worker_sweep(struct worker *w)
{
    if (!ev_is_active(&w->sweep))
        ev_timer_again(w->loop, &w->sweep);
}

/* ---- letters --------------------------------------------------------------------------------- */

static void read_letter(struct worker *w, struct letter *l)
{
    switch (l->kind) {
    case LETTER_CONNECTION:
        listener_adopt(w, l->listener, l->fd, &l->peer);
        l->fd = -1;
        break;
    case LETTER_PUBLISH:
        topics_deliver(w, l->topic, l->topic_len, l->message, l->binary);
        break;
    case LETTER_PREPARE:
        reload_prepare(w, l->number);
        break;
    case LETTER_RESTORE:
        reload_restore(w, l->number);
        break;
    case LETTER_COMMIT:
        reload_commit(w, l->number);
        break;
    case LETTER_ABANDON:
        reload_abandon(w);
        break;
    case LETTER_LISTEN:
        if (!atomic_load(&w->server->draining))
            listener_start(l->listener, w->loop);
        break;
    case LETTER_UNLISTEN:
        listener_stop(l->listener);
        break;
    case LETTER_DESCRIBE:
        control_describe(w);
        break;
    case LETTER_RESOLVED:
        client_resolved(w, l->answer);
        break;
    case LETTER_DRAIN:
        worker_drain(w);
        break;
    case LETTER_STOP:
        ev_break(w->loop, EVBREAK_ALL);
        break;
    }
}

static void on_mail(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)wake;
    (void)revents;
    struct worker *w = worker_of(loop);
    struct letter *l = mailbox_take(&w->mailbox);
    while (l) {
        struct letter *next = l->next;
        read_letter(w, l);
        letter_free(l);
        l = next;
    }
}

/* ---- draining -------------------------------------------------------------------------------- */

static void close_for_drain(struct worker *w, struct conn *c)
{
    if (c->state == CONN_OPEN)
        (void)ws_conn_close(w, c, CLOSE_GOING_AWAY, "server is stopping", 18);
    else if (c->state == CONN_HTTP && c->http && c->http->state == HTTP_ANSWERING)
        c->http->close = true; /* the answer is still given */
    else if (c->state == CONN_HTTP && !c->http && c->out.queued == 0)
        conn_kill(w, c); /* idle: nobody waits for anything */
    else if (c->state == CONN_HTTP)
        conn_linger(w, c);
    else if (c->state == CONN_CONNECT || c->state == CONN_ANSWER)
        client_fail(w, c, "the process is ending");
    else if (c->state == CONN_HANDSHAKE)
        conn_kill(w, c);
}

static void on_drain_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)timer;
    (void)revents;
    struct worker *w = worker_of(loop);
    const struct limits *limits = &w->site->limits;
    ev_tstamp passed = ev_now(loop) - w->drain_started;
    double share = limits->drain_seconds > 0 ? passed / limits->drain_seconds : 1;
    uint32_t until = share >= 1 ? w->slot_cap : (uint32_t)(share * w->slot_cap) + 1;
    for (; w->drain_cursor < until && w->drain_cursor < w->slot_cap; w->drain_cursor++)
        if (conn_at(w, w->drain_cursor))
            close_for_drain(w, conn_at(w, w->drain_cursor));
    if (passed < limits->drain_seconds + limits->close_seconds)
        return;
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (conn_at(w, i))
            conn_kill(w, conn_at(w, i));
}

void worker_drain(struct worker *w)
{
    if (w->drain_started > 0)
        return;
    w->drain_started = ev_now(w->loop);
    ev_timer_again(w->loop, &w->drain);
    on_drain_step(w->loop, &w->drain, 0);
}

/* ---- log ------------------------------------------------------------------------------------- */

/* May one more line be written in this second? */
static bool may_log(struct worker *w, enum log_level level)
{
    uint32_t second = (uint32_t)(ev_now(w->loop) - w->started);
    if (second != w->log_second) {
        if (w->log_lines > WORKER_PEER_LINES)
            log_write(w->log, level, "%u more lines about peers were left out",
                      w->log_lines - WORKER_PEER_LINES);
        w->log_second = second;
        w->log_lines = 0;
    }
    return ++w->log_lines <= WORKER_PEER_LINES;
}

void worker_log_peer(struct worker *w, enum log_level level, const struct conn *c,
                     const char *format, ...)
{
    if (!may_log(w, level))
        return;
    char text[512];
    char peer[ADDRESS_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_write(w->log, level, "%s: %s", address_format(&c->peer, peer), text);
}

void worker_log_bounded(struct worker *w, enum log_level level, const char *format, ...)
{
    if (!may_log(w, level))
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_write(w->log, level, "%s", text);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Pages that are not touched cost nothing: a worker that is idle has a small arena. */
static int arena_init(struct arena *a, size_t cap)
{
    a->data = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    a->cap = cap;
    a->used = 0;
    if (a->data != MAP_FAILED)
        return 0;
    a->data = NULL;
    return ERR_MEMORY;
}

static void arena_deinit(struct arena *a)
{
    if (a->data)
        munmap(a->data, a->cap);
}

int worker_init(struct worker *w, struct server *server, uint32_t index)
{
    *w = (struct worker){.server = server, .log = &server->log, .index = index};
    w->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (!w->loop)
        return ERR_IO;
    ev_set_userdata(w->loop, w);
    w->started = ev_now(w->loop);
    ev_prepare_init(&w->turn_end, on_turn_end);
    ev_prepare_start(w->loop, &w->turn_end);
    ev_init(&w->sweep, on_sweep);
    w->sweep.repeat = sweep_seconds;
    ev_init(&w->drain, on_drain_step);
    w->drain.repeat = drain_step_seconds;
    handover_init(w);
    intern_init(&w->kept);
    topics_init(&w->topics);
    tls_client_cache_init(&w->tls_clients);
    if (arena_init(&w->in, READ_ARENA_BYTES) < 0 || arena_init(&w->out, WRITE_ARENA_BYTES) < 0)
        return ERR_MEMORY;
    if (mailbox_init(&w->mailbox, w->loop) < 0)
        return ERR_MEMORY;
    ev_set_cb(&w->mailbox.wake, on_mail);
    turn_desk_init(&w->turn_desk, &server->turns, w->loop);
    return 0;
}

void worker_run(struct worker *w)
{
    ev_now_update(w->loop);
    ev_run(w->loop, 0);
}

void worker_deinit(struct worker *w)
{
    if (!w->loop)
        return;
    /* The script is gone: nobody is told any more. */
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (conn_at(w, i))
            conn_kill(w, conn_at(w, i));
    worker_flush(w);
    free_dead(w);
    http_session_pool_deinit(w);
    intern_deinit(&w->kept);
    topics_deinit(w);
    timers_deinit(w);
    tls_client_cache_deinit(&w->tls_clients);
    turn_desk_deinit(&w->turn_desk);
    tls_ciphers_free(w->tls_ciphers);
    mailbox_deinit(&w->mailbox);
    batch_deinit(&w->batch);
    batch_deinit(&w->running);
    buffer_deinit(&w->scratch);
    deflaters_deinit(&w->deflaters);
    inflater_free(w->inflater);
    arena_deinit(&w->in);
    arena_deinit(&w->out);
    conn_blocks_deinit(w);
    free(w->resume);
    ev_loop_destroy(w->loop);
    w->loop = NULL;
    site_free(w->site);
    site_free(w->next);
    w->site = w->next = NULL;
}
