/* Finds the largest connections, and closes them. */
#include "engine/conn/conn_relief.h"

#include "base/clock.h"
#include "engine/conn/conn.h"
#include "engine/conn/conn_account.h"
#include "protocol/close_code.h"

enum {
    CANDIDATES = 32,        /* closed without looking for the largest again */
    TARGET_PARTS = 16,      /* this part of the budget is made free, so that it is not over soon */
    FEW_BYTES = 1024,       /* to close a connection that holds less is of no use */
    KEPT_BYTES = 64 * 1024, /* the rest of a frame, and a Close: what is waited for */
    LATE_MS = 100,          /* a worker that has not looked by then may be stuck: others go */
};

static const char why[] = "the server is short of memory (memory_bytes)";

/* ---- the largest ----------------------------------------------------------------------------- */

struct candidate {
    struct conn *conn;
    uint64_t bytes;
};

/* Those that hold most, the largest first. */
struct candidates {
    struct candidate list[CANDIDATES];
    unsigned count;
};

/* A message that was published lies in the queues of many and is counted once for all of them; it
 * is freed when the last has gone. */
static uint64_t weight_of(const struct conn *c)
{
    uint64_t own = (uint64_t)c->held * PIECE_UNIT;
    bool shares = c->blocked && c->subscriptions;
    return shares && c->out.queued > own ? c->out.queued : own;
}

static void consider(struct candidates *all, struct conn *c)
{
    struct candidate one = {c, weight_of(c)};
    if (one.bytes < FEW_BYTES)
        return;
    if (all->count == CANDIDATES && one.bytes <= all->list[CANDIDATES - 1].bytes)
        return;
    unsigned at = all->count < CANDIDATES ? all->count++ : CANDIDATES - 1;
    for (; at > 0 && all->list[at - 1].bytes < one.bytes; at--)
        all->list[at] = all->list[at - 1];
    all->list[at] = one;
}

static struct candidates largest(const struct worker *w)
{
    struct candidates all = {.count = 0};
    for (uint32_t i = 0; i < w->slot_cap; i++) {
        struct conn *c = conn_at(w, i);
        if (c && c->state != CONN_DEAD)
            consider(&all, c);
    }
    return all;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* What it holds is freed now: a large frame that is partly sent would be waited for. */
static void evict(struct worker *w, struct conn *c)
{
    const struct conn_role *role = conn_role(w, c);
    count(&w->counters, COUNT_MEMORY_OVERFLOWS, 1);
    if (role->fail)
        role->fail(w, c, CLOSE_TRY_AGAIN, why);
    else
        worker_log_peer(w, LOG_WARN, &c->peer, "%s: closed", why);
    conn_account(w, c);
    if (!role->fail || weight_of(c) > KEPT_BYTES)
        conn_kill(w, c);
}

static void read_relieve(struct worker *w, struct letter *l)
{
    (void)l;
    atomic_store_explicit(&w->memory.asked_ms, 0, memory_order_relaxed);
    conn_relieve(w);
}

/* Asks another worker to look, once. False: it has not answered for a while, or there is no memory
 * to ask it. */
static bool ask(struct worker *w, uint32_t other)
{
    struct memory_account *account = w->budget->accounts[other];
    uint64_t now_ms = clock_monotonic_ms(), asked_ms = 0;
    if (!atomic_compare_exchange_strong(&account->asked_ms, &asked_ms, now_ms))
        return now_ms < asked_ms + LATE_MS;
    struct letter *l = letter_new(read_relieve);
    if (l)
        mailbox_post(w->mailboxes->list[other], l);
    else
        atomic_store(&account->asked_ms, 0);
    return l != NULL;
}

static void evict_all(struct worker *w, const struct candidates *all, uint64_t until)
{
    for (unsigned i = 0; i < all->count && memory_held(w->budget) > until; i++)
        if (all->list[i].conn->state != CONN_DEAD) /* what its end caused may have killed others */
            evict(w, all->list[i].conn);
}

void conn_relieve(struct worker *w)
{
    uint64_t limit = memory_limit(w->budget);
    uint64_t held = memory_held(w->budget);
    w->memory.grown = 0;
    w->memory.step = memory_step(w->budget);
    if (held <= limit)
        return;
    struct candidates all = largest(w);
    uint64_t ours = all.count > 0 ? all.list[0].bytes : 0;
    memory_set_largest(&w->memory, ours);
    uint32_t other = memory_worker_with_more(w->budget, ours);
    if (other == w->mailboxes->count || !ask(w, other))
        evict_all(w, &all, limit - limit / TARGET_PARTS);
}
