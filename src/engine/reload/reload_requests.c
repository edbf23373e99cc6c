/* What other threads tell the reload. */
#include "engine/reload/reload_requests.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

void reload_requests_init(struct reload_requests *q)
{
    *q = (struct reload_requests){.generation = 1};
    probation_init(&q->locked.probation, q->generation, clock_monotonic_ms());
    pthread_mutex_init(&q->lock, NULL);
}

void reload_requests_deinit(struct reload_requests *q)
{
    pthread_mutex_destroy(&q->lock);
}

/* ---- from any thread ------------------------------------------------------------------------- */

/* Under the lock. Returns the ticket of the wish of this kind, which may be there already. */
static uint32_t ask(struct reload_requests *q, enum reload_kind kind, const char *cause,
                    uint64_t since_us)
{
    struct reload_wish *w = &q->locked.wishes[kind];
    if (!w->wanted) {
        *w = (struct reload_wish){
            .wanted = true,
            .ticket = ++q->locked.last_ticket,
            .from = q->generation,
            .since_us = since_us,
        };
        snprintf(w->cause, sizeof(w->cause), "%s", cause);
    }
    return w->ticket;
}

uint32_t reload_requests_load(struct reload_requests *q, const char *cause, uint64_t since_us)
{
    pthread_mutex_lock(&q->lock);
    uint32_t ticket = ask(q, RELOAD_LOAD, cause, since_us);
    pthread_mutex_unlock(&q->lock);
    return ticket;
}

uint32_t reload_requests_rollback(struct reload_requests *q, const char *cause)
{
    uint64_t now = clock_monotonic_us();
    pthread_mutex_lock(&q->lock);
    struct reload_wish *back = &q->locked.wishes[RELOAD_BACK];
    if (back->by_itself)
        back->wanted = false;
    uint32_t ticket = q->locked.rollback_ticket;
    if (!ticket)
        ticket = ask(q, RELOAD_BACK, cause, now);
    pthread_mutex_unlock(&q->lock);
    return ticket;
}

/* Under the lock. Cuts a long text, but not within a character. */
static void keep_first_failure(struct reload_requests *q, const char *text, size_t len)
{
    char *into = q->locked.first_failure;
    size_t n = len < RELOAD_TRACE_BYTES ? len : RELOAD_TRACE_BYTES - 1;
    while (n > 0 && n < len && ((uint8_t)text[n] & 0xC0) == 0x80)
        n--;
    memcpy(into, text, n);
    into[n] = '\0';
}

bool reload_requests_failed(struct reload_requests *q, uint32_t generation, const char *text,
                            size_t len)
{
    struct probation *p = &q->locked.probation;
    pthread_mutex_lock(&q->lock);
    uint32_t before = p->failures;
    bool failed = probation_note(p, generation, clock_monotonic_ms());
    if (before == 0 && p->failures == 1)
        keep_first_failure(q, text, len);
    if (failed)
        q->locked.failed_probation = true;
    pthread_mutex_unlock(&q->lock);
    return failed;
}

/* ---- the main thread's ----------------------------------------------------------------------- */

/* Under the lock. */
static void describe_failures(const struct reload_requests *q, char *why, size_t size)
{
    const struct probation *p = &q->locked.probation;
    snprintf(why, size,
             "generation %u failed %u times in the %.1f s since it served, and what served "
             "before %u times in the %u s before that: %s",
             p->generation, p->failures, (double)(clock_monotonic_ms() - p->began_ms) / 1000,
             p->before, p->seconds, q->locked.first_failure);
}

bool reload_requests_excuse(struct reload_requests *q, char *why, size_t size)
{
    pthread_mutex_lock(&q->lock);
    bool failed = q->locked.failed_probation;
    if (failed)
        describe_failures(q, why, size);
    if (failed)
        q->locked.probation.failed = false;
    q->locked.failed_probation = false;
    pthread_mutex_unlock(&q->lock);
    return failed;
}

void reload_requests_check_probation(struct reload_requests *q, char *why, size_t size)
{
    pthread_mutex_lock(&q->lock);
    struct reload_wish *back = &q->locked.wishes[RELOAD_BACK];
    if (q->locked.failed_probation && !(back->wanted && !back->by_itself)) {
        back->wanted = false; /* it was meant for a generation that does not serve any more */
        (void)ask(q, RELOAD_BACK, "probation", clock_monotonic_us());
        back->by_itself = true;
        describe_failures(q, why, size);
    }
    q->locked.failed_probation = false;
    pthread_mutex_unlock(&q->lock);
}

enum reload_kind reload_requests_next(struct reload_requests *q)
{
    pthread_mutex_lock(&q->lock);
    const struct reload_wish *load = &q->locked.wishes[RELOAD_LOAD];
    const struct reload_wish *back = &q->locked.wishes[RELOAD_BACK];
    enum reload_kind kind = load->wanted ? RELOAD_LOAD : RELOAD_KINDS;
    if (back->wanted && (!load->wanted || back->ticket < load->ticket))
        kind = RELOAD_BACK;
    pthread_mutex_unlock(&q->lock);
    return kind;
}

struct reload_wish reload_requests_take(struct reload_requests *q, enum reload_kind kind)
{
    pthread_mutex_lock(&q->lock);
    struct reload_wish taken = q->locked.wishes[kind];
    assert(taken.wanted);
    q->locked.wishes[kind].wanted = false;
    pthread_mutex_unlock(&q->lock);
    return taken;
}

void reload_requests_put_back(struct reload_requests *q, const struct reload_wish *load)
{
    pthread_mutex_lock(&q->lock);
    if (!q->locked.wishes[RELOAD_LOAD].wanted)
        q->locked.wishes[RELOAD_LOAD] = *load;
    pthread_mutex_unlock(&q->lock);
}

bool reload_requests_wants_back(struct reload_requests *q)
{
    pthread_mutex_lock(&q->lock);
    const struct reload_wish *back = &q->locked.wishes[RELOAD_BACK];
    bool wanted = back->wanted && !back->by_itself && back->from == q->generation;
    pthread_mutex_unlock(&q->lock);
    return wanted;
}

bool reload_requests_drop_older(struct reload_requests *q, char cause[RELOAD_CAUSE_BYTES])
{
    pthread_mutex_lock(&q->lock);
    struct reload_wish *load = &q->locked.wishes[RELOAD_LOAD];
    bool older = load->wanted && load->ticket < q->locked.wishes[RELOAD_BACK].ticket;
    if (older) {
        load->wanted = false;
        memcpy(cause, load->cause, RELOAD_CAUSE_BYTES);
    }
    pthread_mutex_unlock(&q->lock);
    return older;
}

void reload_requests_rolling_back(struct reload_requests *q, uint32_t ticket)
{
    pthread_mutex_lock(&q->lock);
    q->locked.rollback_ticket = ticket;
    pthread_mutex_unlock(&q->lock);
}

void reload_requests_take_over(struct reload_requests *q, bool back, const struct limits *limits)
{
    struct probation *p = &q->locked.probation;
    uint64_t now = clock_monotonic_ms();
    q->generation++;
    q->locked.failed_probation = false;
    if (back)
        probation_take_back(p, q->generation, now);
    else
        probation_begin(p, q->generation, limits->probation_seconds, limits->probation_failures,
                        now);
}
