/* What a worker does with the letters of a reload, in its own thread. */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/reload/handover.h"
#include "engine/reload/reload.h"
#include "engine/worker.h"

static void answer(struct worker *w, uint32_t number, int status, const char *why)
{
    struct reload *r = w->server->reload;
    pthread_mutex_lock(&r->lock);
    if (number == r->number) { /* else it came too late */
        struct reload_answer *a = &r->answers[w->index];
        a->status = status;
        a->site = w->next;
        snprintf(a->why, sizeof(a->why), "%s", why);
        r->missing--;
    }
    pthread_mutex_unlock(&r->lock);
    ev_async_send(w->server->loop, &r->wake);
}

void reload_abandon(struct worker *w)
{
    if (w->next)
        w->abandon(w->script);
    site_free(w->next);
    w->next = NULL;
}

static void make_next(struct worker *w, uint32_t number,
                      int (*make)(struct worker *w, struct site *next, char *why, size_t why_len))
{
    char why[RELOAD_WHY_BYTES] = "";
    reload_abandon(w); /* of an attempt whose end was not told */
    w->next = site_new();
    int status = w->next ? make(w, w->next, why, sizeof(why)) : ERR_MEMORY;
    if (status == 0)
        status = site_succeed(w->next, w->site);
    if (status == ERR_MEMORY && !why[0])
        snprintf(why, sizeof(why), "%s", error_text(status));
    answer(w, number, status, why);
}

void reload_prepare(struct worker *w, uint32_t number)
{
    struct reload *r = w->server->reload;
    pthread_mutex_lock(&r->lock);
    if (r->sources && sources_number(r->sources) == number)
        w->sources = sources_ref(r->sources);
    pthread_mutex_unlock(&r->lock);
    handover_piece_begin(w);
    make_next(w, number, w->prepare);
    sources_unref(w->sources);
    w->sources = NULL;
    handover_piece_end(w, PAUSE_PREPARE);
    handover_tidy(w);
}

void reload_restore(struct worker *w, uint32_t number)
{
    handover_piece_begin(w);
    make_next(w, number, w->restore);
    handover_piece_end(w, PAUSE_PREPARE);
}

void reload_commit(struct worker *w, uint32_t generation)
{
    struct reload *r = w->server->reload;
    struct reload_answer *a = &r->answers[w->index]; /* the main thread does not look now */
    a->began_us = clock_monotonic_us();
    w->next->generation = generation;
    handover(w);
    a->ended_us = clock_monotonic_us();
    a->pauses = w->handover.pauses.serving;
    pthread_mutex_lock(&r->lock);
    r->missing--;
    pthread_mutex_unlock(&r->lock);
    ev_async_send(w->server->loop, &r->wake);
}
