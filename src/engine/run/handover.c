/* From one site to the next: routes move at once, what every connection must hear follows in
 * slices. */
#include "engine/run/handover.h"

#include <stdlib.h>

#include "base/clock.h"
#include "engine/ground/site_succession.h"
#include "engine/http/http_session.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_conn.h"

/* By index in the site before; retired when the next site does not have it. */
static uint32_t move_route(struct worker *w, uint32_t route)
{
    uint32_t to = site_successor(w->next, route);
    return to != SITE_NOWHERE ? to : site_retire(w->next, w->site, route);
}

/* A request that is read or answered. An upgrade that waits for the script points into its route.
 */
static void move_request(struct worker *w, struct http_session *s)
{
    bool underway = s->state == HTTP_BODY_WANTED || s->state == HTTP_ANSWERING;
    if (!s->have_head || !underway || s->match.target >= w->site->route_count)
        return;
    s->match.target = s->upgrading ? site_retire(w->next, w->site, s->match.target)
                                   : move_route(w, s->match.target);
}

/* A silence that began under the old limit ends as the new one says. What would be over by now, or
 * was not counted, is spread, so that not all are pinged at once. */
static void follow_idle(struct worker *w, struct conn *c, uint32_t before, uint32_t seconds)
{
    if (c->state != CONN_OPEN || c->ping_sent || before == seconds)
        return;
    uint32_t now = worker_tick(w);
    uint32_t ticks = seconds * WORKER_TICKS_PER_SECOND;
    uint32_t since = now; /* the last sign of life */
    uint32_t *deadline = conn_deadline_at(w, c->slot);
    if (before && *deadline > before * WORKER_TICKS_PER_SECOND)
        since = *deadline - before * WORKER_TICKS_PER_SECOND;
    uint32_t due = since + ticks;
    if (seconds && (!before || due <= now))
        due = now + 1 + c->slot % ticks;
    *deadline = seconds ? due : 0;
}

static void move_websocket(struct worker *w, struct conn *c)
{
    uint32_t before = w->site->routes[c->route].limits.idle_seconds;
    c->route = move_route(w, c->route);
    follow_idle(w, c, before, w->next->routes[c->route].limits.idle_seconds);
}

/* Those that are dead too: the script may still ask for them until the turn ends. */
static void move_all(struct worker *w)
{
    for (uint32_t i = 0; i < w->slot_cap; i++) {
        struct conn *c = conn_at(w, i);
        if (c && c->request && c->route < w->site->route_count)
            move_websocket(w, c);
        else if (c && c->http)
            move_request(w, c->http);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* Slots for a step that sends 1012, however slow the machine is. */
enum { GONE_AT_LEAST = 16 };

static const ev_tstamp gone_step_seconds = 0.05;
static const ev_tstamp tidy_step_seconds = 0.005;

static struct pause clocks(void)
{
    return (struct pause){clock_monotonic_us(), clock_thread_us()};
}

void handover_piece_begin(struct worker *w)
{
    pauses_begin(&w->handover->pauses, clocks());
}

void handover_piece_end(struct worker *w, enum pause_kind kind)
{
    pauses_end(&w->handover->pauses, kind, ev_iteration(w->loop), clocks());
}

bool handover_slice_over(const struct worker *w)
{
    return clock_monotonic_us() - w->handover->pauses.began.us >= HANDOVER_SLICE_US;
}

/* What came for others is not held up, nor counted. */
static void handle_waiting(struct worker *w)
{
    while (w->batch.count > 0)
        worker_dispatch(w);
    conn_flush_all(w);
}

/* The next slot's connection, or NULL for a free one. */
static struct conn *walk_next(const struct worker *w, struct handover_walk *walk)
{
    if (walk->at >= w->slot_cap)
        walk->at = 0;
    walk->left--;
    return conn_at(w, walk->at++);
}

/* What its on_reload sends goes out at once: a slice is not over before that is done, too. */
static void tell_eager(struct worker *w, struct conn *c)
{
    if (c->state != CONN_OPEN || c->route >= w->site->declared_count ||
        !w->site->routes[c->route].eager)
        return;
    if (!conn_event(w, c, EVENT_RELOAD)) /* it is told before its next event, as the others */
        return;
    worker_dispatch(w);
    conn_flush_all(w);
}

static void on_eager_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    struct handover_walk *walk = &w->handover->eager;
    handle_waiting(w);
    handover_piece_begin(w);
    while (walk->left > 0 && !handover_slice_over(w)) {
        struct conn *c = walk_next(w, walk);
        if (c)
            tell_eager(w, c);
    }
    topics_hand_out(w); /* what the slice has published, to each subscriber in one go */
    conn_flush_all(w);
    handover_piece_end(w, PAUSE_ON_RELOAD);
    if (walk->left > 0)
        ev_timer_start(loop, timer); /* in the next turn */
}

/* What has no route (CLIENT_ROUTE) was opened by the script. */
static void close_gone(struct worker *w, struct conn *c)
{
    if (c->state != CONN_OPEN || c->route < w->site->declared_count ||
        c->route >= w->site->route_count)
        return;
    ws_conn_close_gone(w, c);
    conn_flush_all(w);
}

/* So many slots are looked at each gone_step_seconds, that all are in limits.drain_seconds. */
static uint32_t gone_share(const struct worker *w)
{
    uint32_t seconds = w->site->limits.drain_seconds;
    return seconds ? (uint32_t)(w->slot_cap * gone_step_seconds / seconds) + 1 : w->slot_cap;
}

static void close_some(struct worker *w)
{
    struct handover_walk *walk = &w->handover->gone;
    ev_tstamp now = ev_now(w->loop);
    if (walk->next_share <= now) {
        walk->due += gone_share(w);
        walk->next_share = now + gone_step_seconds;
    }
    for (uint32_t n = 0; walk->due > 0 && walk->left > 0; n++) {
        if (n >= GONE_AT_LEAST && handover_slice_over(w))
            break;
        struct conn *c = walk_next(w, walk);
        walk->due--;
        if (c)
            close_gone(w, c);
    }
    if (walk->left == 0) {
        walk->due = 0;
    } else {
        ev_timer_set(&walk->timer, walk->due > 0 ? 0 : walk->next_share - now, 0);
        ev_timer_start(w->loop, &walk->timer);
    }
}

static void on_gone_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)timer;
    (void)revents;
    struct worker *w = worker_of(loop);
    handle_waiting(w);
    handover_piece_begin(w);
    close_some(w);
    handover_piece_end(w, PAUSE_CLOSE);
}

/* Walks that are under way go on from where they are, once around from now on. */
static void begin_walks(struct worker *w)
{
    struct handover_walk *eager = &w->handover->eager;
    struct handover_walk *gone = &w->handover->gone;
    bool is_wanted = false;
    for (size_t i = 0; i < w->site->declared_count; i++)
        is_wanted = is_wanted || w->site->routes[i].eager;
    eager->left = is_wanted ? w->slot_cap : 0;
    if (eager->left)
        ev_timer_start(w->loop, &eager->timer);
    gone->left = w->site->route_count > w->site->declared_count ? w->slot_cap : 0;
    if (gone->left && !ev_is_active(&gone->timer)) {
        gone->due = 0;
        gone->next_share = 0;
        close_some(w); /* as a part of the commit */
    }
}

static void on_tidy_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    handover_piece_begin(w);
    bool more = w->ops->tidy(w->script);
    handover_piece_end(w, PAUSE_COLLECT);
    if (!more)
        ev_timer_stop(loop, timer);
}

void handover_tidy(struct worker *w)
{
    if (!ev_is_active(&w->handover->tidy))
        ev_timer_again(w->loop, &w->handover->tidy);
}

struct handover *handover_new(void)
{
    struct handover *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    ev_timer_init(&h->eager.timer, on_eager_step, 0, 0);
    ev_init(&h->gone.timer, on_gone_step);
    ev_init(&h->tidy, on_tidy_step);
    h->tidy.repeat = tidy_step_seconds;
    return h;
}

void handover(struct worker *w, const struct reload_facts *facts)
{
    while (w->batch.count > 0)
        worker_dispatch(w);
    handover_piece_begin(w);
    move_all(w);
    struct site *before = w->site;
    w->site = w->next;
    w->next = NULL;
    topics_follow(w);
    w->ops->commit(w->script, facts);
    begin_walks(w);
    site_free(before);
    handover_piece_end(w, PAUSE_COMMIT);
}
