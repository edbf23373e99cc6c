/* What a worker does with the letters of a reload, in its own thread. */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/reload/handover.h"
#include "engine/reload/reload.h"
#include "engine/site_succession.h"
#include "engine/worker.h"

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
    reload_round_answer(&w->server->reload->round, w->index, number, status, w->next, why);
}

void reload_prepare(struct worker *w, uint32_t number)
{
    w->sources = reload_round_sources(&w->server->reload->round, number);
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
    struct reload_round *round = &w->server->reload->round;
    struct reload_answer *a = &round->answers[w->index]; /* the main thread does not look now */
    a->began_us = clock_monotonic_us();
    w->next->generation = generation;
    handover(w);
    a->ended_us = clock_monotonic_us();
    a->pauses = w->handover.pauses.serving;
    reload_round_committed(round);
}
