/* Counts the references to runs of bytes. */
#include "base/shared.h"

#include <assert.h>
#include <stdlib.h>

struct shared *shared_new(size_t len)
{
    if (len > UINT32_MAX)
        return NULL;
    struct shared *s = malloc(sizeof(*s) + len);
    if (!s)
        return NULL;
    atomic_init(&s->references, 1);
    s->len = (uint32_t)len;
    s->account = NULL;
    return s;
}

void shared_charge(struct shared *s, _Atomic uint64_t *account)
{
    if (s->account)
        return;
    s->account = account;
    atomic_fetch_add_explicit(account, s->len, memory_order_relaxed);
}

struct shared *shared_ref(struct shared *s)
{
    /* Relaxed: the caller holds a reference already, so the block cannot go meanwhile. */
    uint32_t before = atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
    return s;
}

void shared_unref(struct shared *s)
{
    if (!s)
        return;
    /* Release: our reads end before another thread frees. Acquire: theirs ended before we free. */
    uint32_t before = atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    if (s->account)
        atomic_fetch_sub_explicit(s->account, s->len, memory_order_relaxed);
    free(s);
}
