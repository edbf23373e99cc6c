/* The begin and the end of a turn, and the sweep over deadlines. */
#include "engine/run/turn.h"

#include "engine/conn/conn.h"
#include "engine/conn/conn_account.h"
#include "engine/conn/conn_relief.h"
#include "engine/conn/conn_turn.h"
#include "engine/worker/timers.h"
#include "engine/ws/topics.h"

static const ev_tstamp sweep_seconds = 0.25;

uint32_t turn_pending(const struct worker *w)
{
    return atomic_load_explicit(&w->conn_count, memory_order_relaxed) + w->timers->running +
           (ev_is_active(&w->input) ? 1 : 0);
}

/* A script without listeners has nothing more to do. */
static bool is_idle(const struct worker *w)
{
    return w->until_idle && turn_pending(w) == 0 && w->ops->pending(w->script) == 0;
}

static void on_turn_begin(struct ev_loop *loop, ev_check *watcher, int revents)
{
    (void)watcher;
    (void)revents;
    struct worker *w = worker_of(loop);
    w->ended = 0;
    pulse_wake(&w->pulse);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    (void)watcher;
    (void)revents;
    struct worker *w = worker_of(loop);
    do {
        ev_invoke_pending(loop); /* fed by hand: input that no socket will show again */
        worker_dispatch(w);
        conn_resume_all(w);
        topics_hand_out(w);
        conn_flush_all(w);
        if (conn_account_grew(w))
            conn_relieve(w);
    } while (w->batch.count > 0 || w->resume_count > 0 || w->dirty || w->topics->dirty ||
             ev_pending_count(loop) > 0);
    conn_free_dead(w);
    if (w->ending || is_idle(w))
        ev_break(loop, EVBREAK_ALL);
    if (w->drain_started > 0 && atomic_load_explicit(&w->conn_count, memory_order_relaxed) == 0)
        ev_break(loop, EVBREAK_ALL);
    pulse_sleep(&w->pulse);
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

static void on_relief(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    (void)watcher;
    (void)revents;
    conn_relieve(worker_of(loop));
}

void turn_init(struct worker *w)
{
    ev_prepare_init(&w->relief, on_relief); /* fed by hand */
    ev_set_priority(&w->relief, EV_MAXPRI);
    ev_check_init(&w->turn_begin, on_turn_begin);
    ev_set_priority(&w->turn_begin, EV_MAXPRI); /* before anything that the turn does */
    ev_check_start(w->loop, &w->turn_begin);
    ev_prepare_init(&w->turn_end, on_turn_end);
    ev_prepare_start(w->loop, &w->turn_end);
    ev_init(&w->sweep, on_sweep);
    w->sweep.repeat = sweep_seconds;
}
