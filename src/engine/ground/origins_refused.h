/* When the log last had a line about a refused Origin (http/origin_advice.h). Shared by all
 * workers, so that a process says it once. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct origins_refused {
    _Atomic uint64_t told_ms; /* by clock_monotonic_ms; 0: never */
    _Atomic uint32_t since;   /* that were refused since then */
};
