/* Timers of the script: slots that are used again, ids that are not, and what happens when one
 * fires. */
#include "engine/worker/timers.h"

#include <ev.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "engine/ground/batch.h"
#include "engine/worker/loop_memory.h"
#include "engine/worker/worker.h"

/* An id is generation * ID_SLOTS + slot: 32 bits and 17, which a double holds exactly. */
enum { ID_SLOTS = 1 << 17, SECONDS_MAX = 1000000000 };

/* A timer that repeats more often would leave the loop no time for anything else. */
static const double every_min = 0.001;
/* When a last event finds no memory, it is tried again after this time. */
static const double again_seconds = 0.1;

_Static_assert(TIMERS_MAX <= (int)ID_SLOTS, "a slot fits its part of the id");

struct timer {
    ev_timer ev;
    uint32_t slot;
    uint32_t generation; /* from 1 */
    uint32_t next_free;  /* while free: slot + 1 */
    bool running;
};

static double id_of(const struct timer *t)
{
    return (double)t->generation * ID_SLOTS + t->slot;
}

static struct timer *find(const struct timers *all, double id)
{
    if (!(id >= ID_SLOTS && id < (double)UINT32_MAX * ID_SLOTS))
        return NULL;
    uint64_t whole = (uint64_t)id;
    uint32_t slot = (uint32_t)(whole % ID_SLOTS);
    if (slot >= all->count)
        return NULL;
    struct timer *t = all->slots[slot];
    return t->running && id_of(t) == id ? t : NULL;
}

static void release(struct worker *w, struct timer *t)
{
    ev_timer_stop(w->loop, &t->ev);
    t->running = false;
    w->timers->running--;
    t->next_free = w->timers->free;
    w->timers->free = t->slot + 1;
}

static void fired(struct ev_loop *loop, ev_timer *ev, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    struct timer *t = ev->data;
    bool last = !ev_is_active(ev);
    struct event *e = batch_add(&w->batch);
    if (!e) {
        if (last) {
            ev_timer_set(ev, again_seconds, 0);
            ev_timer_start(loop, ev);
        }
        return;
    }
    e->kind = EVENT_TIMER;
    e->conn = id_of(t);
    e->flag = last;
    if (last)
        release(w, t);
}

static int take_slot(struct timers *all, struct timer **out)
{
    if (all->free) {
        *out = all->slots[all->free - 1];
        all->free = (*out)->next_free;
        return 0;
    }
    if (all->count == TIMERS_MAX)
        return ERR_LIMIT;
    if (all->count == all->cap &&
        array_grow((void **)&all->slots, &all->cap, sizeof(*all->slots), 16) < 0)
        return ERR_MEMORY;
    struct timer *t = calloc(1, sizeof(*t));
    if (!t)
        return ERR_MEMORY;
    t->slot = all->count;
    all->slots[all->count++] = t;
    *out = t;
    return 0;
}

static bool is_duration(double seconds)
{
    return seconds >= 0 && seconds <= SECONDS_MAX; /* false for NaN */
}

double timers_start(struct worker *w, double after_seconds, double every_seconds)
{
    if (!is_duration(after_seconds) || !is_duration(every_seconds))
        return ERR_INVALID;
    if (every_seconds > 0 && every_seconds < every_min)
        every_seconds = every_min;
    if (!loop_memory_ready())
        return ERR_MEMORY;
    struct timer *t;
    int err = take_slot(w->timers, &t);
    if (err)
        return err;
    /* 0 is no generation. A slot's ids repeat after four thousand million timers. */
    t->generation = t->generation == UINT32_MAX ? 1 : t->generation + 1;
    t->running = true;
    w->timers->running++;
    /* The loop's clock is that of the turn's beginning: a hook that has worked for 50 ms would have
     * a timer of 50 ms at once. */
    ev_now_update(w->loop);
    ev_timer_init(&t->ev, fired, after_seconds, every_seconds);
    t->ev.data = t;
    ev_timer_start(w->loop, &t->ev);
    return id_of(t);
}

int timers_stop(struct worker *w, double id)
{
    struct timer *t = find(w->timers, id);
    if (!t)
        return ERR_NOT_FOUND;
    release(w, t);
    return 0;
}

struct timers *timers_new(void)
{
    return calloc(1, sizeof(struct timers));
}

void timers_free(struct worker *w)
{
    struct timers *all = w->timers;
    if (!all)
        return;
    for (uint32_t i = 0; i < all->count; i++) {
        ev_timer_stop(w->loop, &all->slots[i]->ev);
        free(all->slots[i]);
    }
    free(all->slots);
    free(all);
    w->timers = NULL;
}
