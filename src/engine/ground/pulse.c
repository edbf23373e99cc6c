/* One time that one thread writes and others read. */
#include "engine/ground/pulse.h"

#include <stdatomic.h>

#include "base/clock.h"

void pulse_wake(struct pulse *p)
{
    atomic_store_explicit(&p->busy_since_ms, clock_monotonic_ms(), memory_order_relaxed);
}

void pulse_sleep(struct pulse *p)
{
    atomic_store_explicit(&p->busy_since_ms, 0, memory_order_relaxed);
}

uint64_t pulse_busy_ms(const struct pulse *p, uint64_t now_ms)
{
    uint64_t since_ms = atomic_load_explicit(&p->busy_since_ms, memory_order_relaxed);
    return since_ms && since_ms < now_ms ? now_ms - since_ms : 0;
}
