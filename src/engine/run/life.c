/* Puts a worker together from the rooms below, and takes it apart. */
#include "engine/run/life.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "engine/client/client.h"
#include "engine/client/client_answer.h"
#include "engine/client/connect_queue.h"
#include "engine/conn/conn.h"
#include "engine/conn/conn_handshake.h"
#include "engine/conn/conn_proxy.h"
#include "engine/conn/conn_turn.h"
#include "engine/http/http_conn.h"
#include "engine/run/draining.h"
#include "engine/run/handover.h"
#include "engine/run/turn.h"
#include "engine/worker/timers.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_conn.h"

static const struct conn_role *const roles[CONN_STATES] = {
    [CONN_CONNECT] = &client_connect_role,   [CONN_PROXY] = &conn_proxy_role,
    [CONN_HANDSHAKE] = &conn_handshake_role, [CONN_HTTP] = &http_conn_role,
    [CONN_ANSWER] = &client_answer_role,     [CONN_OPEN] = &ws_conn_role,
    [CONN_CLOSING] = &ws_conn_role,          [CONN_LINGER] = &conn_linger_role,
    [CONN_DEAD] = &conn_dead_role,
};

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

static void on_mail(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)wake;
    (void)revents;
    struct worker *w = worker_of(loop);
    mailbox_read(&w->mailbox, w);
}

int life_begin(struct worker *w, const struct life_shared *shared, uint32_t index)
{
    *w = (struct worker){
        .server = shared->server,
        .log = shared->log,
        .index = index,
        .mailboxes = shared->mailboxes,
        .admission = shared->admission,
        .origins_refused = shared->origins_refused,
        .audiences = shared->audiences,
        .resolver = shared->resolver,
        .budget = shared->budget,
    };
    w->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (!w->loop)
        return ERR_IO;
    ev_set_userdata(w->loop, w);
    w->started = ev_now(w->loop);
    for (unsigned state = 0; state < CONN_STATES; state++)
        w->roles[state] = roles[state];
    turn_init(w);
    draining_init(w);
    intern_init(&w->requests);
    tls_client_cache_init(&w->tls_clients);
    w->topics = topics_new(&w->memory);
    w->timers = timers_new();
    w->handover = handover_new();
    w->connect_desk = connect_desk_new(shared->connect_queues, w->loop);
    if (!w->topics || !w->timers || !w->handover || !w->connect_desk ||
        arena_init(&w->in, READ_ARENA_BYTES) || arena_init(&w->out, WRITE_ARENA_BYTES) ||
        mailbox_init(&w->mailbox, w->loop))
        return ERR_MEMORY;
    ev_set_cb(&w->mailbox.wake, on_mail);
    return 0;
}

void life_run(struct worker *w)
{
    ev_now_update(w->loop);
    pulse_wake(&w->pulse); /* what waits already is handled before the loop first sleeps */
    ev_run(w->loop, 0);
}

static void read_stop(struct worker *w, struct letter *l)
{
    (void)l;
    ev_break(w->loop, EVBREAK_ALL);
}

struct letter *life_stop_letter(void)
{
    return letter_new(read_stop);
}

/* The script is gone: nobody is told any more. */
static void close_all(struct worker *w)
{
    if (w->topics)
        topics_hand_out(w); /* a log may name connections */
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (conn_at(w, i))
            conn_kill(w, conn_at(w, i));
    conn_flush_all(w);
    conn_free_dead(w);
    conn_slots_deinit(w);
    free(w->resume);
}

void life_end(struct worker *w)
{
    if (!w->loop)
        return;
    worker_log_end(w);
    close_all(w);
    http_session_pool_deinit(w);
    topics_free(w);
    timers_free(w);
    free(w->handover);
    connect_desk_free(w->connect_desk);
    mailbox_deinit(&w->mailbox);
    intern_deinit(&w->requests);
    tls_client_cache_deinit(&w->tls_clients);
    tls_ciphers_free(w->tls_ciphers);
    batch_deinit(&w->batch);
    batch_deinit(&w->running);
    buffer_deinit(&w->scratch);
    deflaters_deinit(&w->deflaters);
    inflater_free(w->inflater);
    arena_deinit(&w->in);
    arena_deinit(&w->out);
    ev_loop_destroy(w->loop);
    w->loop = NULL;
    site_free(w->site);
    site_free(w->next);
    w->site = w->next = NULL;
}
