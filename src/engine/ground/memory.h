/* How much memory the connections of a process hold, beyond what an idle one costs, and how much
 * they may (limit memory_bytes).
 *
 * Each worker adds up what its own connections hold, in a word that its thread alone writes; what
 * waits in mailboxes is counted there. Who wants to know adds up all of them. A worker looks when
 * its own have grown by MEMORY_STEPS-th of the budget since it looked last, so that nothing is
 * looked at for a message. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "engine/ground/mailbox.h"

enum { MEMORY_STEPS = 256, MEMORY_STEP_LEAST = 64 * 1024 };

/* Of one worker. */
struct memory_account {
    _Atomic uint64_t bytes;
    _Atomic uint64_t largest; /* no connection of its holds more; set right when it is looked for */
    _Atomic uint64_t asked_ms; /* when it was asked to look, by letter; 0: it has since then */
    /* Its thread's alone. */
    uint64_t grown; /* since it looked */
    uint64_t step;  /* it looks when it has grown by so much */
};

/* Of the process. */
struct memory_budget {
    _Atomic uint64_t limit;
    uint64_t machine;                  /* what the machine, or the container, has; 0: unknown */
    struct memory_account **accounts;  /* of the workers, by index */
    const struct mailboxes *mailboxes; /* likewise */
};

/* ---- the worker's thread ---- */

static inline void memory_add(struct memory_account *a, uint64_t bytes)
{
    uint64_t now = atomic_load_explicit(&a->bytes, memory_order_relaxed);
    atomic_store_explicit(&a->bytes, now + bytes, memory_order_relaxed);
    a->grown += bytes;
}

static inline void memory_take(struct memory_account *a, uint64_t bytes)
{
    uint64_t now = atomic_load_explicit(&a->bytes, memory_order_relaxed);
    atomic_store_explicit(&a->bytes, now - bytes, memory_order_relaxed);
}

static inline void memory_set_largest(struct memory_account *a, uint64_t bytes)
{
    atomic_store_explicit(&a->largest, bytes, memory_order_relaxed);
}

/* Adds what a connection, which now holds `whole` bytes, has taken. */
static inline void memory_grow(struct memory_account *a, uint64_t bytes, uint64_t whole)
{
    memory_add(a, bytes);
    if (whole > atomic_load_explicit(&a->largest, memory_order_relaxed))
        memory_set_largest(a, whole);
}

/* ---- any thread ---- */

/* Takes up the limit memory_bytes: 0 is half of what the machine has. */
void memory_set_limit(struct memory_budget *b, uint64_t memory_bytes);
uint64_t memory_limit(const struct memory_budget *b);
/* What all hold now, and wait in mailboxes. */
uint64_t memory_held(const struct memory_budget *b);
/* By how much a worker may grow before it looks. */
uint64_t memory_step(const struct memory_budget *b);
/* The worker with the largest connection, if it has one that holds more than this; else the number
 * of workers. */
uint32_t memory_worker_with_more(const struct memory_budget *b, uint64_t bytes);
