/* Adds up the accounts of all workers. */
#include "engine/ground/memory.h"

void memory_set_limit(struct memory_budget *b, uint64_t memory_bytes)
{
    uint64_t limit = memory_bytes ? memory_bytes : b->machine / 2;
    atomic_store_explicit(&b->limit, limit ? limit : UINT64_MAX / 2, memory_order_relaxed);
}

uint64_t memory_limit(const struct memory_budget *b)
{
    return atomic_load_explicit(&b->limit, memory_order_relaxed);
}

uint64_t memory_held(const struct memory_budget *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->mailboxes->count; i++) {
        sum += atomic_load_explicit(&b->accounts[i]->bytes, memory_order_relaxed);
        sum += mailbox_held(b->mailboxes->list[i]);
    }
    return sum;
}

uint64_t memory_step(const struct memory_budget *b)
{
    uint64_t step = memory_limit(b) / MEMORY_STEPS;
    return step > MEMORY_STEP_LEAST ? step : MEMORY_STEP_LEAST;
}

uint32_t memory_worker_with_more(const struct memory_budget *b, uint64_t bytes)
{
    uint32_t found = b->mailboxes->count;
    for (uint32_t i = 0; i < b->mailboxes->count; i++) {
        uint64_t largest = atomic_load_explicit(&b->accounts[i]->largest, memory_order_relaxed);
        if (largest > bytes) {
            bytes = largest;
            found = i;
        }
    }
    return found;
}
