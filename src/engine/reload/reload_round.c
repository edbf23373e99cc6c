/* What the main thread and the workers share of an attempt. */
#include "engine/reload/reload_round.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

int reload_round_init(struct reload_round *r, uint32_t workers, struct ev_loop *loop,
                      ev_async *wake)
{
    *r = (struct reload_round){.loop = loop, .wake = wake, .workers = workers};
    r->answers = calloc(workers, sizeof(*r->answers));
    pthread_mutex_init(&r->lock, NULL);
    return r->answers ? 0 : ERR_MEMORY;
}

void reload_round_deinit(struct reload_round *r)
{
    if (r->sources)
        sources_leave(r->sources);
    sources_unref(r->sources);
    free(r->answers);
    pthread_mutex_destroy(&r->lock);
}

uint32_t reload_round_begin(struct reload_round *r)
{
    pthread_mutex_lock(&r->lock);
    uint32_t number = ++r->locked.number;
    r->locked.missing = r->workers;
    pthread_mutex_unlock(&r->lock);
    return number;
}

void reload_round_again(struct reload_round *r)
{
    pthread_mutex_lock(&r->lock);
    assert(r->locked.missing == 0);
    r->locked.missing = r->workers;
    pthread_mutex_unlock(&r->lock);
}

void reload_round_end(struct reload_round *r)
{
    pthread_mutex_lock(&r->lock);
    r->locked.number++;
    pthread_mutex_unlock(&r->lock);
}

bool reload_round_complete(struct reload_round *r)
{
    pthread_mutex_lock(&r->lock);
    bool complete = r->locked.missing == 0;
    pthread_mutex_unlock(&r->lock);
    return complete;
}

void reload_round_set_sources(struct reload_round *r, struct sources *s)
{
    pthread_mutex_lock(&r->lock);
    struct sources *before = r->sources;
    r->sources = s;
    pthread_mutex_unlock(&r->lock);
    sources_unref(before);
}

struct sources *reload_round_sources(struct reload_round *r, uint32_t number)
{
    pthread_mutex_lock(&r->lock);
    struct sources *s = r->sources;
    s = s && sources_number(s) == number ? sources_ref(s) : NULL;
    pthread_mutex_unlock(&r->lock);
    return s;
}

void reload_round_answer(struct reload_round *r, uint32_t worker, uint32_t number, int status,
                         const struct site *site, const char *why)
{
    pthread_mutex_lock(&r->lock);
    if (number == r->locked.number) { /* otherwise it comes too late */
        struct reload_answer *a = &r->answers[worker];
        assert(r->locked.missing > 0);
        a->status = status;
        a->site = site;
        snprintf(a->why, sizeof(a->why), "%s", why);
        r->locked.missing--;
    }
    pthread_mutex_unlock(&r->lock);
    ev_async_send(r->loop, r->wake);
}

void reload_round_committed(struct reload_round *r)
{
    pthread_mutex_lock(&r->lock);
    assert(r->locked.missing > 0);
    r->locked.missing--;
    pthread_mutex_unlock(&r->lock);
    ev_async_send(r->loop, r->wake);
}
