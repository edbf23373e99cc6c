/* With one worker the worker accepts by itself; with several the main thread does, and deals
 * connections out by letters. */
#include "engine/server/accept.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/conn/conn.h"
#include "engine/server/server.h"

/* In the worker's thread: an admitted socket becomes a connection, or is closed and released. */
static void adopt(struct worker *w, struct listener *l, int fd, const struct address *peer,
                  bool proxied)
{
    struct tls_context *context = listener_tls(l);
    struct tls_session *tls = context ? tls_accept(context, fd, &w->tls_ciphers) : NULL;
    tls_context_unref(context);
    if (context && !tls) {
        close(fd);
        admission_release(w->admission, peer);
    } else if (conn_open(w, fd, peer, tls, proxied)) { /* it has closed and released it */
        log_write(l->log, LOG_ERROR, "%s: a connection was dropped: out of memory or slots",
                  l->address);
    }
}

/* ---- dealing --------------------------------------------------------------------------------- */

/* An accepted socket on its way to its worker. */
struct dealt {
    struct letter letter;
    struct server *server;
    struct listener *listener; /* a reference */
    struct address peer;
    bool proxied;
    int fd; /* -1: the worker has it */
};

static void read_dealt(struct worker *w, struct letter *l)
{
    struct dealt *d = (struct dealt *)l;
    adopt(w, d->listener, d->fd, &d->peer, d->proxied);
    d->fd = -1;
    /* It counts among the worker's own from here. */
    atomic_fetch_sub_explicit(&d->server->dealt[w->index], 1, memory_order_relaxed);
}

static void drop_dealt(struct letter *l)
{
    struct dealt *d = (struct dealt *)l;
    if (d->fd >= 0)
        close(d->fd);
    listener_unref(d->listener);
    free(d);
}

/* The next worker in turn among those that have the fewest connections, or NULL. stuck: one that is
 * stuck is as good as others. */
static struct worker *fewest(struct server *s, uint64_t now_ms, bool stuck)
{
    struct worker *best = NULL;
    uint32_t best_has = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[(s->next_worker + i) % s->worker_count];
        uint32_t has = atomic_load_explicit(&w->conn_count, memory_order_relaxed) +
                       atomic_load_explicit(&s->dealt[w->index], memory_order_relaxed);
        if ((!best || has < best_has) &&
            (stuck || pulse_busy_ms(&w->pulse, now_ms) < PULSE_STUCK_MS)) {
            best = w;
            best_has = has;
        }
    }
    return best;
}

static struct worker *choose_worker(struct server *s)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct worker *w = fewest(s, now_ms, false);
    if (!w)
        w = fewest(s, now_ms, true);
    s->next_worker = (w->index + 1) % s->worker_count;
    return w;
}

static void deal(struct listener *l, struct server *s, int fd, const struct address *peer,
                 bool proxied)
{
    struct dealt *d = calloc(1, sizeof(*d));
    if (!d) {
        close(fd);
        admission_release(&s->admission, peer);
        return;
    }
    d->letter.read = read_dealt;
    d->letter.drop = drop_dealt;
    d->server = s;
    d->listener = listener_ref(l);
    d->peer = *peer;
    d->proxied = proxied;
    d->fd = fd;
    struct worker *w = choose_worker(s);
    atomic_fetch_add_explicit(&s->dealt[w->index], 1, memory_order_relaxed);
    mailbox_post(&w->mailbox, &d->letter);
}

static void refuse(struct listener *l, struct server *s, int fd, const struct address *peer,
                   const char *why, const char *what)
{
    close(fd);
    count_shared(&s->counters, COUNT_REFUSED_CONNECTIONS, 1);
    if (listener_may_warn(l)) {
        char from[ADDRESS_TEXT_BYTES];
        log_write(&s->log, LOG_WARN, "connection from %s refused: %s%s", address_format(peer, from),
                  why, what);
    }
}

void accept_peer(struct listener *l, int fd, const struct address *peer)
{
    struct server *s = l->owner;
    if (atomic_load_explicit(&s->draining, memory_order_relaxed)) {
        close(fd);
        return;
    }
    static const struct address unknown;
    enum listener_entry entry = listener_entry(l, peer);
    bool proxied = entry == LISTENER_PROXIED;
    const struct address *client = proxied ? &unknown : peer;
    if (entry == LISTENER_CLOSED) {
        refuse(l, s, fd, peer, "it is not in the option proxy of the listener ", l->address);
        return;
    }
    bool crowded = memory_held(&s->memory) > memory_limit(&s->memory);
    const char *over = crowded ? "memory_bytes" : admission_admit(&s->admission, client);
    if (over)
        refuse(l, s, fd, peer, "over limits.", over);
    else if (s->worker_count > 1)
        deal(l, s, fd, client, proxied);
    else
        adopt(&s->workers[0], l, fd, client, proxied);
}
