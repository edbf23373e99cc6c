/* A socket that listens, in the loop of one thread. */
#include "engine/server/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* Connections that wait behind these are taken in the next turn, after those that are open. */
enum { ACCEPTS_PER_TURN = 64 };

static const double pause_seconds = 0.1;

static void pause_accepting(struct listener *l)
{
    ev_io_stop(l->loop, &l->io);
    ev_timer_set(&l->pause, pause_seconds, 0);
    ev_timer_start(l->loop, &l->pause);
}

static void go_on(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct listener *l = timer->data;
    ev_io_start(loop, &l->io);
}

/* The connections wait in the backlog; spinning on a readable listener would help nobody. */
static void cannot_accept(struct listener *l, int err)
{
    int reason = errno;
    if (err == ERR_LIMIT && !l->out_of_files && listener_may_warn(l)) {
        log_write(l->log, LOG_WARN,
                  "%s: no more connections for now: out of descriptors or memory (%s); raise "
                  "ulimit -n or lower limits.connections",
                  l->address, strerror(reason));
        l->out_of_files = true;
    } else if (err != ERR_LIMIT && listener_may_warn(l)) {
        log_write(l->log, LOG_ERROR, "%s: cannot accept: %s", l->address, strerror(reason));
    }
    pause_accepting(l);
}

static void readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct listener *l = io->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct address peer;
        int fd = tcp_accept(l->socket.fd, &peer);
        if (fd == ERR_AGAIN)
            return;
        if (fd < 0) {
            cannot_accept(l, fd);
            return;
        }
        l->out_of_files = false;
        l->on_accept(l, fd, &peer);
    }
}

static void asked_to_stop(struct ev_loop *loop, ev_async *stop, int revents)
{
    (void)loop;
    (void)revents;
    listener_stop(stop->data);
}

struct listener *listener_new(const struct listening *socket, struct tls_context *tls,
                              const struct log *log)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        tcp_listen_close(socket);
        tls_context_unref(tls);
        return NULL;
    }
    l->socket = *socket;
    l->references = 1;
    pthread_mutex_init(&l->lock, NULL);
    l->tls = tls;
    l->log = log;
    l->warned_at = -1;
    ev_io_init(&l->io, readable, socket->fd, EV_READ);
    ev_timer_init(&l->pause, go_on, pause_seconds, 0);
    ev_async_init(&l->stop, asked_to_stop);
    l->io.data = l->pause.data = l->stop.data = l;
    return l;
}

struct listener *listener_ref(struct listener *l)
{
    atomic_fetch_add(&l->references, 1);
    return l;
}

void listener_unref(struct listener *l)
{
    if (l == NULL || atomic_fetch_sub(&l->references, 1) > 1)
        return;
    listener_stop(l);
    tls_context_unref(l->tls);
    pthread_mutex_destroy(&l->lock);
    free(l->key);
    free(l);
}

void listener_set(struct listener *l, struct tls_context *tls, const struct address_ranges *proxies)
{
    pthread_mutex_lock(&l->lock);
    struct tls_context *old = l->tls;
    l->tls = tls;
    l->proxies = *proxies;
    pthread_mutex_unlock(&l->lock);
    tls_context_unref(old); /* the sessions that it made keep it */
}

struct tls_context *listener_tls(struct listener *l)
{
    pthread_mutex_lock(&l->lock);
    struct tls_context *tls = l->tls ? tls_context_ref(l->tls) : NULL;
    pthread_mutex_unlock(&l->lock);
    return tls;
}

enum listener_entry listener_entry(struct listener *l, const struct address *peer)
{
    pthread_mutex_lock(&l->lock);
    bool open = l->proxies.count == 0;
    bool proxy = address_ranges_have(&l->proxies, peer);
    pthread_mutex_unlock(&l->lock);
    return open ? LISTENER_OPEN : proxy ? LISTENER_PROXIED : LISTENER_CLOSED;
}

void listener_start(struct listener *l, struct ev_loop *loop)
{
    l->loop = loop;
    ev_io_start(loop, &l->io);
    ev_async_start(loop, &l->stop);
}

void listener_stop(struct listener *l)
{
    if (l->loop) {
        ev_io_stop(l->loop, &l->io);
        ev_timer_stop(l->loop, &l->pause);
        ev_async_stop(l->loop, &l->stop);
    }
    if (l->socket.fd >= 0)
        tcp_listen_close(&l->socket);
    l->socket.fd = -1;
}

void listener_ask_stop(struct listener *l)
{
    ev_async_send(l->loop, &l->stop);
}

bool listener_may_warn(struct listener *l)
{
    ev_tstamp now = ev_now(l->loop);
    if (l->warned_at >= 0 && now - l->warned_at < 1)
        return false;
    l->warned_at = now;
    return true;
}
