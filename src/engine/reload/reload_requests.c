/* What other threads tell the reload. */
#include "engine/reload/reload_requests.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"

void reload_requests_init(struct reload_requests *q)
{
    *q = (struct reload_requests){.generation = 1, .seed = hash_seed()};
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

/* From whom it came, hashed. */
static struct probation_failure hashed(const struct reload_requests *q,
                                       const struct reload_failure *f)
{
    struct probation_failure out = {
        .way = probation_way(q->seed, f->text, f->len),
        .own = f->own,
    };
    bool known = f->peer && (f->peer->family == AF_INET || f->peer->family == AF_INET6);
    if (known) {
        struct address stranger;
        address_stranger(&stranger, f->peer);
        out.stranger = hash_bytes(q->seed, &stranger, ADDRESS_KEY_BYTES) | 1; /* never 0 */
    }
    return out;
}

bool reload_requests_failed(struct reload_requests *q, const struct reload_failure *f,
                            uint64_t events)
{
    struct probation *p = &q->locked.probation;
    const struct probation_failure what = hashed(q, f);
    pthread_mutex_lock(&q->lock);
    uint32_t before = probation_counted(p);
    bool failed = probation_note(p, f->generation, &what, events, clock_monotonic_ms());
    if (before == 0 && probation_counted(p) == 1)
        keep_first_failure(q, f->text, f->len);
    if (failed) {
        q->locked.failed_probation = true;
        q->locked.events = events - p->events_before;
    }
    pthread_mutex_unlock(&q->lock);
    return failed;
}

/* ---- the main thread's ----------------------------------------------------------------------- */

/* Under the lock. */
static void describe_failures(const struct reload_requests *q, char *why, size_t size)
{
    const struct probation *p = &q->locked.probation;
    snprintf(why, size,
             "generation %u failed %u times in the %.1f s since it served, as the code before it "
             "had not: %u times of its own doing, and %u times for %u peers, in %llu events: %s",
             p->generation, p->own + p->of_strangers,
             (double)(clock_monotonic_ms() - p->began_ms) / 1000, p->own, p->of_strangers,
             p->stranger_count, (unsigned long long)q->locked.events, q->locked.first_failure);
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

bool reload_requests_on_probation(struct reload_requests *q)
{
    pthread_mutex_lock(&q->lock);
    const struct reload_wish *back = &q->locked.wishes[RELOAD_BACK];
    bool on = q->locked.failed_probation || (back->wanted && back->by_itself) ||
              probation_is_open(&q->locked.probation, clock_monotonic_ms());
    pthread_mutex_unlock(&q->lock);
    return on;
}

void reload_requests_kept(struct reload_requests *q, char *text, size_t size)
{
    pthread_mutex_lock(&q->lock);
    const struct probation *p = &q->locked.probation;
    if (p->seconds == 0)
        snprintf(text, size,
                 "generation %u is kept: it has no probation "
                 "(limits.probation_seconds = 0)",
                 p->generation);
    else
        snprintf(text, size,
                 "generation %u is kept: in its probation of %u s it failed %u times, "
                 "and %u of these as the code before it had",
                 p->generation, p->seconds, p->failures, p->known);
    pthread_mutex_unlock(&q->lock);
}

void reload_requests_take_over(struct reload_requests *q, bool back, const struct limits *limits,
                               uint64_t events)
{
    struct probation *p = &q->locked.probation;
    uint64_t now = clock_monotonic_ms();
    q->generation++;
    q->locked.failed_probation = false;
    if (back)
        probation_take_back(p, q->generation, now);
    else
        probation_begin(p, q->generation, limits->probation_seconds, limits->probation_failures,
                        events, now);
}
