/* What the kernel says about a process. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* CPU time of all threads, user and system, in nanoseconds. pid 0 is this process. */
uint64_t process_cpu_ns(pid_t pid);

/* Resident bytes, exact (smaps_rollup walks the pages; statm lags by up to 64 pages a thread). */
uint64_t process_rss_bytes(pid_t pid);

uint64_t now_ns(void);
