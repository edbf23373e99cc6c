/* Step by step over all slots, so that a thousand clients do not come back in the same moment. */
#include "engine/run/draining.h"

#include "engine/conn/conn.h"

static const ev_tstamp step_seconds = 0.05;

static void let_go(struct worker *w, struct conn *c)
{
    const struct conn_role *role = conn_role(w, c);
    if (role->drain)
        role->drain(w, c);
}

static void on_step(struct ev_loop *loop, ev_timer *timer, int revents)
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
            let_go(w, conn_at(w, w->drain_cursor));
    if (passed < limits->drain_seconds + limits->close_seconds)
        return;
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (conn_at(w, i))
            conn_kill(w, conn_at(w, i));
}

void draining_init(struct worker *w)
{
    ev_init(&w->drain, on_step);
    w->drain.repeat = step_seconds;
}

void draining_begin(struct worker *w)
{
    if (w->drain_started > 0)
        return;
    w->drain_started = ev_now(w->loop);
    ev_timer_again(w->loop, &w->drain);
    on_step(w->loop, &w->drain, 0);
}

static void read_drain(struct worker *w, struct letter *l)
{
    (void)l;
    draining_begin(w);
}

struct letter *draining_letter(void)
{
    return letter_new(read_drain);
}
