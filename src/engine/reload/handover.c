#include "engine/reload/handover.h"

#include <string.h>

#include "engine/http/http_session.h"
#include "engine/worker.h"
#include "engine/ws_conn.h"
#include "protocol/close_code.h"

const char handover_gone[] = "this address is not served any more";

/* By index in the site before; retired when the next site does not have it. */
static uint32_t move_route(struct worker *w, uint32_t route)
{
    uint32_t to = site_successor(w->next, route);
    return to != SITE_NOWHERE ? to : site_retire(w->next, w->site, route);
}

/* A request that is read or answered. An upgrade that waits for the script points into its route. */
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
        if (c && c->kept && c->route < w->site->route_count)
            move_websocket(w, c);
        else if (c && c->http)
            move_request(w, c->http);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* Slots that are looked at in one turn of the loop: on_reload is called for so many. */
enum { EAGER_SLOTS = 200 };

static const ev_tstamp gone_step_seconds = 0.05;

/* The next slot's connection, or NULL for a free one. */
static struct conn *walk_next(const struct worker *w, struct handover_walk *walk)
{
    if (walk->at >= w->slot_cap)
        walk->at = 0;
    walk->left--;
    return conn_at(w, walk->at++);
}

static void tell_eager(struct worker *w, struct conn *c)
{
    if (c->state != CONN_OPEN || c->route >= w->site->declared_count ||
        !w->site->routes[c->route].eager)
        return;
    (void)conn_event(w, c, EVENT_RELOAD); /* else it is told before its next event, as the others */
}

static void on_eager_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    struct handover_walk *walk = &w->handover.eager;
    for (uint32_t n = 0; n < EAGER_SLOTS && walk->left > 0; n++) {
        struct conn *c = walk_next(w, walk);
        if (c)
            tell_eager(w, c);
    }
    if (walk->left > 0)
        ev_timer_start(loop, timer); /* in the next turn */
}

/* What has no route (CLIENT_ROUTE) was opened by the script. */
static void close_gone(struct worker *w, struct conn *c)
{
    if (c->state == CONN_OPEN && c->route >= w->site->declared_count &&
        c->route < w->site->route_count)
        (void)ws_conn_close(w, c, CLOSE_SERVICE_RESTART, handover_gone, strlen(handover_gone));
}

static void on_gone_step(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    struct handover_walk *walk = &w->handover.gone;
    uint32_t seconds = w->site->limits.drain_seconds;
    uint32_t most = w->slot_cap;
    if (seconds)
        most = (uint32_t)(w->slot_cap * gone_step_seconds / seconds) + 1;
    for (uint32_t n = 0; n < most && walk->left > 0; n++) {
        struct conn *c = walk_next(w, walk);
        if (c)
            close_gone(w, c);
    }
    if (walk->left == 0)
        ev_timer_stop(loop, timer);
}

/* A walk that is under way goes on from where it is, once around from now on. */
static void begin_walks(struct worker *w)
{
    bool eager = false;
    for (size_t i = 0; i < w->site->declared_count; i++)
        eager = eager || w->site->routes[i].eager;
    w->handover.eager.left = eager ? w->slot_cap : 0;
    if (w->handover.eager.left)
        ev_timer_start(w->loop, &w->handover.eager.timer);
    bool gone = w->site->route_count > w->site->declared_count;
    w->handover.gone.left = gone ? w->slot_cap : 0;
    if (gone && !ev_is_active(&w->handover.gone.timer)) {
        ev_timer_again(w->loop, &w->handover.gone.timer);
        on_gone_step(w->loop, &w->handover.gone.timer, 0);
    }
}

void handover_init(struct worker *w)
{
    ev_timer_init(&w->handover.eager.timer, on_eager_step, 0, 0);
    ev_init(&w->handover.gone.timer, on_gone_step);
    w->handover.gone.timer.repeat = gone_step_seconds;
}

void handover(struct worker *w)
{
    while (w->batch.count > 0)
        worker_dispatch(w);
    move_all(w);
    struct site *before = w->site;
    w->site = w->next;
    w->next = NULL;
    topics_follow(w);
    w->commit(w->script);
    begin_walks(w);
    site_free(before);
}
