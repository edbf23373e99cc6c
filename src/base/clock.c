/* Asks the system for the time. */
#include "base/clock.h"

static struct timespec now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t;
}

static uint64_t ms(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t us(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
    return ms(now(CLOCK_MONOTONIC));
}

uint64_t clock_monotonic_us(void)
{
    return us(now(CLOCK_MONOTONIC));
}

uint64_t clock_thread_us(void)
{
    return us(now(CLOCK_THREAD_CPUTIME_ID));
}

time_t clock_wall_s(void)
{
    return now(CLOCK_REALTIME).tv_sec;
}

uint64_t clock_wall_ms(void)
{
    return ms(now(CLOCK_REALTIME));
}
