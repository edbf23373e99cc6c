#include "engine/handover.h"

#include <string.h>

#include "engine/http_session.h"
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

/* Those that are dead too: the script may still ask for them until the turn ends. */
static void move_all(struct worker *w)
{
    for (uint32_t i = 0; i < w->slot_cap; i++) {
        struct conn *c = w->conns[i];
        if (c && c->kept && c->route < w->site->route_count)
            c->route = move_route(w, c->route);
        else if (c && c->http)
            move_request(w, c->http);
    }
}

static void tell(struct worker *w, struct conn *c)
{
    if (c->route >= w->site->route_count)
        return; /* the script has opened it: it has no route */
    if (c->route >= w->site->declared_count) {
        (void)ws_conn_close(w, c, CLOSE_SERVICE_RESTART, handover_gone, strlen(handover_gone));
        return;
    }
    struct event *e = w->site->routes[c->route].eager ? batch_add(&w->batch) : NULL;
    if (e) { /* else it is told before its next event, as the others */
        e->kind = EVENT_RELOAD;
        e->conn = conn_handle(w, c);
        e->route = c->route;
    }
}

void handover(struct worker *w)
{
    while (w->batch.count > 0)
        worker_dispatch(w);
    move_all(w);
    struct site *before = w->site;
    w->site = w->next;
    w->next = NULL;
    w->commit(w->script);
    for (uint32_t i = 0; i < w->slot_cap; i++) {
        if (w->conns[i] && w->conns[i]->state == CONN_OPEN)
            tell(w, w->conns[i]);
    }
    site_free(before);
}
