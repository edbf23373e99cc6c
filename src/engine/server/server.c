/* The process: it begins, waits for its workers, and ends. */
#include "engine/server/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log_sink.h"
#include "base/machine.h"
#include "engine/run/draining.h"
#include "engine/run/life.h"
#include "engine/worker/loop_memory.h"

/* What a worker gets beyond the limits of a drain before it counts as stuck. */
static const double stuck_seconds = 1;

/* Posts to every worker the letter that make gives. */
static void post_to_all(struct server *s, struct letter *(*make)(void))
{
    bool all = true;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = make();
        if (l)
            mailbox_post(&s->workers[i].mailbox, l);
        all = all && l;
    }
    if (!all)
        log_write(&s->log, LOG_ERROR, "out of memory: a worker cannot be told to end");
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
    struct limits limits = admission_limits(&s->admission);
    return limits.drain_seconds + limits.close_seconds;
}

static void woken(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)revents;
    struct server *s = wake->data;
    if (atomic_load(&s->running) == 0) {
        ev_break(loop, EVBREAK_ALL);
    } else if (atomic_load(&s->draining) && !ev_is_active(&s->deadline)) {
        if (s->drain_begins)
            s->drain_begins(s);
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
    uint64_t none = 0;
    (void)atomic_compare_exchange_strong(&s->drain_began_ms, &none, clock_monotonic_ms());
    if (atomic_exchange(&s->draining, true))
        return;
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < s->listener_count; i++)
        listener_ask_stop(s->listeners[i]);
    pthread_mutex_unlock(&s->listeners_lock);
    post_to_all(s, draining_letter);
    ev_async_send(s->loop, &s->wake);
}

uint64_t server_drained_ms(const struct server *s)
{
    uint64_t began_ms = atomic_load(&s->drain_began_ms);
    return began_ms ? clock_monotonic_ms() - began_ms : UINT64_MAX;
}

void server_stop(struct server *s)
{
    atomic_store(&s->draining, true);
    post_to_all(s, life_stop_letter);
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
    life_run(w);
    atomic_fetch_sub(&s->running, 1);
    ev_async_send(s->loop, &s->wake);
    return NULL;
}

static int start_thread(struct worker *w)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr))
        return ERR_MEMORY;
    bool ok = pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES) == 0 &&
              pthread_create(&w->thread, &attr, thread_body, w) == 0;
    pthread_attr_destroy(&attr);
    return ok ? 0 : ERR_LIMIT;
}

int server_start(struct server *s)
{
    for (; s->started < s->worker_count; s->started++) {
        struct worker *w = &s->workers[s->started];
        atomic_fetch_add(&s->running, 1);
        if (start_thread(w) < 0) {
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

/* ---- limits and counters ------------------------------------------------------------------- */

void server_set_limits(struct server *s, const struct limits *limits)
{
    admission_set_limits(&s->admission, limits);
    memory_set_limit(&s->memory, limits->memory_bytes);
    log_set_line_bytes(&s->log, limits->log_line_bytes);
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

uint64_t server_events(const struct server *s)
{
    uint64_t files = 0;
    for (uint32_t i = 0; i < s->worker_count; i++)
        files += atomic_load_explicit(&s->workers[i].files_served, memory_order_relaxed);
    uint64_t all = server_counter(s, COUNT_REQUESTS) + server_counter(s, COUNT_OPENED) +
                   server_counter(s, COUNT_MESSAGES_IN);
    return all > files ? all - files : 0; /* a file is counted before its request is */
}

const char *server_loop_version(char out[16])
{
    snprintf(out, 16, "%d.%d", ev_version_major(), ev_version_minor());
    return out;
}

int server_init(struct server *s, uint32_t worker_count, const struct log *log)
{
    *s = (struct server){.log = *log, .exit_status = -1};
    admission_init(&s->admission);
    audiences_init(&s->audiences);
    connect_queues_init(&s->connect_queues);
    pthread_mutex_init(&s->listeners_lock, NULL);
    ev_async_init(&s->wake, woken);
    ev_timer_init(&s->deadline, deadline_passed, 0, 0);
    s->wake.data = s->deadline.data = s;
    s->loop = loop_memory_init() < 0 ? NULL : ev_loop_new(EVFLAG_AUTO);
    s->resolver = resolver_new();
    s->workers = aligned_alloc(WORKER_ALIGNMENT, worker_count * sizeof(*s->workers));
    s->dealt = calloc(worker_count, sizeof(*s->dealt));
    s->mailboxes.list = calloc(worker_count, sizeof(*s->mailboxes.list));
    s->memory.accounts = calloc(worker_count, sizeof(*s->memory.accounts));
    s->memory.mailboxes = &s->mailboxes;
    s->memory.machine = machine_memory();
    memory_set_limit(&s->memory, 0);
    if (!s->loop || !s->resolver || !s->workers || !s->dealt || !s->mailboxes.list ||
        !s->memory.accounts)
        goto fail;
    ev_async_start(s->loop, &s->wake);
    const struct life_shared shared = {
        .server = s,
        .log = &s->log,
        .mailboxes = &s->mailboxes,
        .admission = &s->admission,
        .origins_refused = &s->origins_refused,
        .audiences = &s->audiences,
        .resolver = s->resolver,
        .connect_queues = &s->connect_queues,
        .budget = &s->memory,
    };
    s->mailboxes.count = worker_count;
    while (s->worker_count < worker_count) {
        uint32_t i = s->worker_count++;
        s->mailboxes.list[i] = &s->workers[i].mailbox;
        s->memory.accounts[i] = &s->workers[i].memory;
        if (life_begin(&s->workers[i], &shared, i))
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
        life_end(&s->workers[i]);
    audiences_deinit(&s->audiences);
    connect_queues_deinit(&s->connect_queues);
    free(s->workers);
    free(s->dealt);
    free(s->mailboxes.list);
    free(s->memory.accounts);
    for (uint32_t i = 0; i < s->signal_count; i++)
        ev_signal_stop(s->loop, &s->signals[i].watcher);
    if (s->loop) {
        ev_timer_stop(s->loop, &s->deadline);
        ev_async_stop(s->loop, &s->wake);
        ev_loop_destroy(s->loop);
    }
    admission_deinit(&s->admission);
    pthread_mutex_destroy(&s->listeners_lock);
}
