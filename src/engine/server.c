#include "engine/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log_sink.h"

/* What a worker gets beyond the limits of a drain before it counts as stuck. */
static const double stuck_seconds = 1;

static bool workers_all(const struct server *s, enum letter_kind kind)
{
    bool all = true;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = letter_new(kind, NULL, 0);
        if (l)
            mailbox_post(&s->workers[i].mailbox, l);
        all = all && l;
    }
    return all;
}

/* ---- the main thread's loop ---------------------------------------------------------------- */

static void deadline_passed(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)timer;
    (void)revents;
    ev_break(loop, EVBREAK_ALL);
}

uint32_t server_drain_seconds(struct server *s)
{
    struct limits limits = server_limits(s);
    return limits.drain_seconds + limits.close_seconds;
}

static void woken(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)revents;
    struct server *s = wake->data;
    if (atomic_load(&s->running) == 0) {
        ev_break(loop, EVBREAK_ALL);
    } else if (atomic_load(&s->draining) && !ev_is_active(&s->deadline)) {
        ev_timer_set(&s->deadline, server_drain_seconds(s) + stuck_seconds, 0);
        ev_timer_start(loop, &s->deadline);
    }
}

uint32_t server_run(struct server *s)
{
    /* A worker may have ended, or asked for a drain, before this loop runs. */
    ev_async_send(s->loop, &s->wake);
    ev_run(s->loop, 0);
    return atomic_load(&s->running);
}

static void signalled(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct server *s = watcher->data;
    for (uint32_t i = 0; i < s->signal_count; i++) {
        if (&s->signals[i].watcher == watcher)
            s->signals[i].fn(s, watcher->signum);
    }
}

void server_on_signal(struct server *s, int signum, void (*fn)(struct server *s, int signum))
{
    if (s->signal_count == SERVER_SIGNALS_MAX)
        abort(); /* a mistake of ours, found at the first start */
    struct server_signal *signal = &s->signals[s->signal_count++];
    signal->fn = fn;
    ev_signal_init(&signal->watcher, signalled, signum);
    signal->watcher.data = s;
    ev_signal_start(s->loop, &signal->watcher);
}

void server_drain(struct server *s)
{
    if (atomic_exchange(&s->draining, true))
        return;
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < s->listener_count; i++)
        listener_ask_stop(s->listeners[i]);
    pthread_mutex_unlock(&s->listeners_lock);
    if (!workers_all(s, LETTER_DRAIN))
        log_write(&s->log, LOG_ERROR, "out of memory: a worker cannot be told to end");
    ev_async_send(s->loop, &s->wake);
}

void server_stop(struct server *s)
{
    atomic_store(&s->draining, true);
    if (!workers_all(s, LETTER_STOP))
        log_write(&s->log, LOG_ERROR, "out of memory: a worker cannot be told to end");
}

void server_exit(struct server *s, int status)
{
    int none = -1;
    if (atomic_compare_exchange_strong(&s->exit_status, &none, status))
        server_stop(s);
}

bool server_exiting(const struct server *s)
{
    return atomic_load(&s->exit_status) >= 0;
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *thread_body(void *arg)
{
    struct worker *w = arg;
    struct server *s = w->server;
    worker_run(w);
    atomic_fetch_sub(&s->running, 1);
    ev_async_send(s->loop, &s->wake);
    return NULL;
}

int server_start(struct server *s)
{
    for (; s->started < s->worker_count; s->started++) {
        struct worker *w = &s->workers[s->started];
        atomic_fetch_add(&s->running, 1);
        if (pthread_create(&w->thread, NULL, thread_body, w)) {
            atomic_fetch_sub(&s->running, 1);
            server_stop(s);
            server_join(s);
            return ERR_LIMIT;
        }
        char name[16]; /* all that the system keeps */
        snprintf(name, sizeof(name), "moonwire/%u", w->index);
        pthread_setname_np(w->thread, name);
    }
    return 0;
}

void server_join(struct server *s)
{
    for (uint32_t i = 0; i < s->started; i++)
        pthread_join(s->workers[i].thread, NULL);
    s->started = 0;
    for (size_t i = 0; i < s->listener_count; i++)
        listener_stop(s->listeners[i]);
}

/* ---- connections --------------------------------------------------------------------------- */

/* Family and bytes lie side by side and are all that makes a peer (transport/tcp.h). */
enum { PEER_KEY_BYTES = 17 };
_Static_assert(offsetof(struct address, bytes) == 1, "the key of a peer has no gap");

/* Local sockets have no address that tells one peer from another. */
static bool has_address(const struct address *peer)
{
    return peer->family == AF_INET || peer->family == AF_INET6;
}

static uintptr_t of_address(const struct server *s, const struct address *peer)
{
    return has_address(peer) ? (uintptr_t)map_get(&s->by_address, peer, PEER_KEY_BYTES) : 0;
}

static const char *admit_locked(struct server *s, const struct address *peer)
{
    const struct limits *limits = &s->limits;
    if (s->connections >= limits->connections)
        return "connections";
    if (has_address(peer)) {
        uintptr_t others = of_address(s, peer);
        if (limits->connections_per_address && others >= limits->connections_per_address)
            return "connections_per_address";
        /* Without memory to count it a connection would not get far either. */
        if (map_put(&s->by_address, peer, PEER_KEY_BYTES, (void *)(others + 1)))
            return "connections_per_address";
    }
    s->connections++;
    return NULL;
}

void server_set_limits(struct server *s, const struct limits *limits)
{
    pthread_mutex_lock(&s->admission_lock);
    s->limits = *limits;
    pthread_mutex_unlock(&s->admission_lock);
}

struct limits server_limits(struct server *s)
{
    pthread_mutex_lock(&s->admission_lock);
    struct limits limits = s->limits;
    pthread_mutex_unlock(&s->admission_lock);
    return limits;
}

const char *server_admit(struct server *s, const struct address *peer)
{
    pthread_mutex_lock(&s->admission_lock);
    const char *refused = admit_locked(s, peer);
    pthread_mutex_unlock(&s->admission_lock);
    return refused;
}

void server_release(struct server *s, const struct address *peer)
{
    pthread_mutex_lock(&s->admission_lock);
    s->connections--;
    uintptr_t others = of_address(s, peer);
    /* To overwrite a value takes no memory, so it cannot fail. */
    if (others <= 1 || map_put(&s->by_address, peer, PEER_KEY_BYTES, (void *)(others - 1)))
        (void)map_remove(&s->by_address, peer, PEER_KEY_BYTES);
    pthread_mutex_unlock(&s->admission_lock);
}

uint64_t server_counter(const struct server *s, unsigned i)
{
    if (i >= COUNTERS)
        return 0;
    if (i == COUNT_DROPPED_LOG_LINES)
        return s->log.sink ? log_sink_dropped(s->log.sink) : 0;
    uint64_t sum = atomic_load_explicit(&s->counters.value[i], memory_order_relaxed);
    for (uint32_t w = 0; w < s->worker_count; w++)
        sum += atomic_load_explicit(&s->workers[w].counters.value[i], memory_order_relaxed);
    return sum;
}

/* ---- life ---------------------------------------------------------------------------------- */

const char *server_loop_version(char out[16])
{
    snprintf(out, 16, "%d.%d", ev_version_major(), ev_version_minor());
    return out;
}

int server_init(struct server *s, uint32_t worker_count, const struct log *log)
{
    *s = (struct server){.log = *log, .limits = limits_default};
    map_init(&s->by_address);
    audiences_init(&s->audiences);
    turns_init(&s->turns);
    pthread_mutex_init(&s->admission_lock, NULL);
    pthread_mutex_init(&s->listeners_lock, NULL);
    ev_async_init(&s->wake, woken);
    ev_timer_init(&s->deadline, deadline_passed, 0, 0);
    s->wake.data = s->deadline.data = s;
    s->loop = ev_loop_new(EVFLAG_AUTO);
    s->exit_status = -1;
    s->resolver = resolver_new();
    s->workers = aligned_alloc(WORKER_ALIGNMENT, worker_count * sizeof(*s->workers));
    s->dealt = calloc(worker_count, sizeof(*s->dealt));
    if (s->loop == NULL || s->resolver == NULL || s->workers == NULL || s->dealt == NULL)
        goto fail;
    ev_async_start(s->loop, &s->wake);
    for (; s->worker_count < worker_count; s->worker_count++) {
        if (worker_init(&s->workers[s->worker_count], s, s->worker_count))
            goto fail;
    }
    return 0;
fail:
    server_deinit(s);
    return ERR_MEMORY;
}

void server_deinit(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        listener_unref(s->listeners[i]);
    free(s->listeners);
    resolver_free(s->resolver); /* before the mailboxes that it writes to */
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_deinit(&s->workers[i]);
    audiences_deinit(&s->audiences);
    turns_deinit(&s->turns);
    free(s->workers);
    free(s->dealt);
    for (uint32_t i = 0; i < s->signal_count; i++)
        ev_signal_stop(s->loop, &s->signals[i].watcher);
    if (s->loop) {
        ev_timer_stop(s->loop, &s->deadline);
        ev_async_stop(s->loop, &s->wake);
        ev_loop_destroy(s->loop);
    }
    map_deinit(&s->by_address);
    pthread_mutex_destroy(&s->admission_lock);
    pthread_mutex_destroy(&s->listeners_lock);
}
