/* Rounds of asking all workers. */
#include "engine/control/control_rounds.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"

struct describe_letter {
    struct letter letter;
    struct control_rounds *rounds;
};

/* In the thread of the worker that is asked. */
static void read_describe(struct worker *w, struct letter *l)
{
    struct control_rounds *r = ((struct describe_letter *)l)->rounds;
    struct control_answer *a = &r->locked.answers[w->index];
    pthread_mutex_lock(&r->lock);
    uint32_t round = r->round;
    a->posted = false;
    pthread_mutex_unlock(&r->lock);

    struct buffer out = {0};
    int err = w->ops->describe(w->script, &out);

    pthread_mutex_lock(&r->lock);
    bool last = false;
    if (!err && round == r->round && !a->given) { /* otherwise it comes too late */
        a->given = true;
        a->generations = out;
        out = (struct buffer){0};
        last = --r->locked.missing == 0;
    }
    pthread_mutex_unlock(&r->lock);
    buffer_deinit(&out);
    if (last)
        ev_async_send(r->server->loop, &r->wake);
}

static void drop_describe(struct letter *l)
{
    free((struct describe_letter *)l);
}

/* NULL: out of memory. */
static struct letter *describe_letter(struct control_rounds *r)
{
    struct describe_letter *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    *l = (struct describe_letter){.letter = {.read = read_describe, .drop = drop_describe},
                                  .rounds = r};
    return &l->letter;
}

void control_rounds_begin(struct control_rounds *r)
{
    struct server *s = r->server;
    assert(!r->running);
    r->running = true;
    pthread_mutex_lock(&r->lock);
    r->round++;
    r->locked.missing = s->worker_count;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct control_answer *a = &r->locked.answers[i];
        a->given = false;
        buffer_deinit(&a->generations);
        struct letter *l = a->posted ? NULL : describe_letter(r);
        a->posted = a->posted || l;
        if (l)
            mailbox_post(&s->workers[i].mailbox, l);
    }
    pthread_mutex_unlock(&r->lock);
    ev_now_update(s->loop);
    ev_timer_set(&r->late, CONTROL_ROUND_SECONDS, 0);
    ev_timer_start(s->loop, &r->late);
}

static void end(struct control_rounds *r)
{
    ev_timer_stop(r->server->loop, &r->late);
    r->running = false;
    r->ended(r, r->round);
}

static void on_wake(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)loop;
    (void)revents;
    struct control_rounds *r = wake->data;
    pthread_mutex_lock(&r->lock);
    bool complete = r->locked.missing == 0;
    pthread_mutex_unlock(&r->lock);
    if (r->running && complete) /* another round may have begun since */
        end(r);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    end(timer->data);
}

int control_rounds_init(struct control_rounds *r, struct server *s,
                        void (*ended)(struct control_rounds *r, uint32_t round))
{
    *r = (struct control_rounds){.server = s, .ended = ended};
    r->locked.answers = calloc(s->worker_count, sizeof(*r->locked.answers));
    pthread_mutex_init(&r->lock, NULL);
    ev_async_init(&r->wake, on_wake);
    ev_timer_init(&r->late, on_late, 0, 0);
    r->wake.data = r->late.data = r;
    ev_async_start(s->loop, &r->wake);
    return r->locked.answers ? 0 : ERR_MEMORY;
}

void control_rounds_deinit(struct control_rounds *r)
{
    ev_async_stop(r->server->loop, &r->wake);
    ev_timer_stop(r->server->loop, &r->late);
    for (uint32_t i = 0; r->locked.answers && i < r->server->worker_count; i++)
        buffer_deinit(&r->locked.answers[i].generations);
    free(r->locked.answers);
    pthread_mutex_destroy(&r->lock);
}
