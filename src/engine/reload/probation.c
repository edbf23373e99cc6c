/* Is new code worse than the code before it? */
#include "engine/reload/probation.h"

#include <string.h>

#include "base/hash.h"

enum { SECOND_MS = 1000, WAY_BYTES = 256 };

/* ---- ways ------------------------------------------------------------------------------------ */

uint32_t probation_way(uint64_t seed, const char *text, size_t len)
{
    char way[WAY_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < len && n < sizeof(way) && text[i] != '\n'; i++)
        if (text[i] < '0' || text[i] > '9')
            way[n++] = text[i];
    return hash_bytes(seed, way, n);
}

static bool has_way(const struct probation_ways *w, uint32_t way)
{
    for (uint32_t i = 0; i < w->count && i < PROBATION_WAYS; i++)
        if (w->ways[i] == way)
            return true;
    return false;
}

static void add_way(struct probation_ways *w, uint32_t way)
{
    if (has_way(w, way))
        return;
    w->ways[w->count % PROBATION_WAYS] = way;
    w->count++;
}

/* What serves ends, and is what the next one is compared with: alone, when it has served for as
 * long as the next is watched. */
static void learn(struct probation *p, uint32_t seconds, uint64_t now_ms)
{
    if (now_ms - p->began_ms >= (uint64_t)seconds * SECOND_MS) {
        p->before = p->shown;
        return;
    }
    for (uint32_t i = 0; i < p->shown.count && i < PROBATION_WAYS; i++)
        add_way(&p->before, p->shown.ways[i]);
}

/* ---- generations ----------------------------------------------------------------------------- */

void probation_init(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    memset(p, 0, sizeof(*p));
    p->generation = generation;
    p->began_ms = now_ms;
}

static void serve(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    p->generation = generation;
    p->began_ms = now_ms;
    p->open = p->failed = false;
    p->failures = p->known = p->own = p->of_strangers = p->stranger_count = 0;
    p->shown.count = 0;
}

void probation_begin(struct probation *p, uint32_t generation, uint32_t seconds, uint32_t least,
                     uint64_t events, uint64_t now_ms)
{
    if (!p->failed)
        learn(p, seconds, now_ms);
    serve(p, generation, now_ms);
    p->seconds = seconds;
    p->least = least;
    p->events_before = events;
    p->open = seconds > 0;
}

void probation_take_back(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    serve(p, generation, now_ms);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void count_stranger(struct probation *p, uint32_t stranger)
{
    for (uint32_t i = 0; i < p->stranger_count; i++)
        if (p->strangers[i] == stranger)
            return;
    if (p->stranger_count < PROBATION_STRANGERS)
        p->strangers[p->stranger_count++] = stranger;
}

uint32_t probation_counted(const struct probation *p)
{
    return p->own + p->stranger_count;
}

static bool is_failed(const struct probation *p, uint64_t events)
{
    uint64_t passed = events > p->events_before ? events - p->events_before : 0;
    bool good_share = (uint64_t)p->of_strangers * PROBATION_EVENTS_EACH >= passed;
    return probation_counted(p) >= p->least && (p->own >= p->least || good_share);
}

bool probation_is_open(const struct probation *p, uint64_t now_ms)
{
    return p->open && now_ms <= p->began_ms + (uint64_t)p->seconds * SECOND_MS;
}

bool probation_note(struct probation *p, uint32_t generation, const struct probation_failure *f,
                    uint64_t events, uint64_t now_ms)
{
    if (generation != p->generation)
        return false;
    add_way(&p->shown, f->way);
    p->open = probation_is_open(p, now_ms);
    if (!p->open)
        return false;
    p->failures++;
    if (has_way(&p->before, f->way)) {
        p->known++;
        return false;
    }
    if (f->own) {
        p->own++;
    } else {
        p->of_strangers++;
        count_stranger(p, f->stranger);
    }
    p->failed = is_failed(p, events);
    p->open = !p->failed;
    return p->failed;
}
