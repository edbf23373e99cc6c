/* Is new code far worse than the code before it? */
#include "engine/reload/probation.h"

#include <string.h>

enum { SECOND_MS = 1000 };

/* Makes this second the ring's newest. An earlier time, which another thread has read, counts as
 * the newest. */
static void advance(struct probation *p, uint64_t now_ms)
{
    uint64_t now = now_ms / SECOND_MS;
    if (now > p->newest && now - p->newest >= PROBATION_RING) {
        memset(p->ring, 0, sizeof(p->ring));
        p->newest = now;
    }
    while (p->newest < now)
        p->ring[++p->newest % PROBATION_RING] = 0;
}

/* The failures of the last seconds. The second in which they begin counts as a whole: rather too
 * many failures than too few. */
static uint32_t sum(const struct probation *p, uint32_t seconds)
{
    uint32_t total = 0;
    for (uint64_t i = 0; i <= seconds && i <= p->newest; i++)
        total += p->ring[(p->newest - i) % PROBATION_RING];
    return total;
}

void probation_init(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    *p = (struct probation){.generation = generation, .newest = now_ms / SECOND_MS};
}

/* Forgets what failed since the generation that serves took over. */
static void forget_its_own(struct probation *p)
{
    uint64_t s = p->began_ms / SECOND_MS;
    if (p->newest - s >= PROBATION_RING)
        s = p->newest - PROBATION_RING + 1;
    for (; s <= p->newest; s++)
        p->ring[s % PROBATION_RING] = 0;
}

void probation_begin(struct probation *p, uint32_t generation, uint32_t seconds, uint32_t least,
                     uint64_t now_ms)
{
    advance(p, now_ms);
    if (p->failed)
        forget_its_own(p);
    else
        p->before = sum(p, seconds);
    p->generation = generation;
    p->seconds = seconds;
    p->least = least;
    p->began_ms = now_ms;
    p->failures = 0;
    p->failed = false;
    p->open = seconds > 0;
}

void probation_take_back(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    advance(p, now_ms);
    forget_its_own(p);
    p->generation = generation;
    p->open = p->failed = false;
}

bool probation_note(struct probation *p, uint32_t generation, uint64_t now_ms)
{
    if (generation != p->generation)
        return false;
    advance(p, now_ms);
    p->ring[p->newest % PROBATION_RING]++;
    if (!p->open)
        return false;
    if (now_ms > p->began_ms + (uint64_t)p->seconds * SECOND_MS) {
        p->open = false;
        return false;
    }
    p->failures++;
    if (p->failures < p->least || p->failures / PROBATION_TIMES < p->before)
        return false;
    p->open = false;
    p->failed = true;
    return true;
}
