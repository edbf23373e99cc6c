/* What the letters of a reload make a worker do, in its own thread. */
#include "engine/reload/reload_worker.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/ground/site_succession.h"
#include "engine/run/handover.h"
#include "engine/worker/worker.h"

/* A letter about one attempt. */
struct reload_letter {
    struct letter letter;
    struct reload_round *round;
    uint32_t number; /* of the attempt; of a commit: the generation */
};

static void drop(struct letter *l)
{
    free((struct reload_letter *)l);
}

static struct letter *make_letter(void (*read)(struct worker *w, struct letter *l),
                                  struct reload_round *round, uint32_t number)
{
    struct reload_letter *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->letter.read = read;
    l->letter.drop = drop;
    l->round = round;
    l->number = number;
    return &l->letter;
}

static void abandon(struct worker *w)
{
    if (w->next)
        w->ops->abandon(w->script);
    site_free(w->next);
    w->next = NULL;
}

static void make_next(struct worker *w, const struct reload_letter *l,
                      int (*make)(struct worker *w, struct site *next, char *why, size_t why_len))
{
    char why[RELOAD_WHY_BYTES] = "";
    abandon(w); /* of an attempt whose end was not told */
    w->next = site_new();
    int err = w->next ? make(w, w->next, why, sizeof(why)) : ERR_MEMORY;
    if (!err)
        err = site_succeed(w->next, w->site);
    if (err == ERR_MEMORY && !why[0])
        snprintf(why, sizeof(why), "%s", error_text(err));
    reload_round_answer(l->round, w->index, l->number, err, w->next, why);
}

static void read_prepare(struct worker *w, struct letter *letter)
{
    const struct reload_letter *l = (const struct reload_letter *)letter;
    w->sources = reload_round_sources(l->round, l->number);
    handover_piece_begin(w);
    make_next(w, l, w->ops->prepare);
    sources_unref(w->sources);
    w->sources = NULL;
    handover_piece_end(w, PAUSE_PREPARE);
    handover_tidy(w);
}

static void read_restore(struct worker *w, struct letter *letter)
{
    handover_piece_begin(w);
    make_next(w, (const struct reload_letter *)letter, w->ops->restore);
    handover_piece_end(w, PAUSE_PREPARE);
}

static void read_commit(struct worker *w, struct letter *letter)
{
    const struct reload_letter *l = (const struct reload_letter *)letter;
    struct reload_round *r = l->round;
    struct reload_answer *a = &r->answers[w->index]; /* the asker does not look now */
    a->began_us = clock_monotonic_us();
    w->next->generation = l->number;
    handover(w, &r->facts);
    a->ended_us = clock_monotonic_us();
    a->pauses = w->handover->pauses.serving;
    reload_round_committed(r);
}

static void read_abandon(struct worker *w, struct letter *letter)
{
    (void)letter;
    abandon(w);
}

struct letter *reload_prepare_letter(struct reload_round *round, uint32_t number)
{
    return make_letter(read_prepare, round, number);
}

struct letter *reload_restore_letter(struct reload_round *round, uint32_t number)
{
    return make_letter(read_restore, round, number);
}

struct letter *reload_commit_letter(struct reload_round *round, uint32_t number)
{
    return make_letter(read_commit, round, number);
}

struct letter *reload_abandon_letter(struct reload_round *round, uint32_t number)
{
    return make_letter(read_abandon, round, number);
}
