/* The time. Only clock.c asks the system for it. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds and microseconds on the monotonic clock. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* Microseconds for which processors have worked for this thread. */
uint64_t clock_thread_us(void);

/* Seconds and milliseconds since the epoch. */
time_t clock_wall_s(void);
uint64_t clock_wall_ms(void);
