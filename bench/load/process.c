#include "process.h"

#include "fail.h"

#include <stdio.h>
#include <time.h>

uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    struct timespec t;
    if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0) {
        fail("no process %d", (int)pid);
    }
    if (clock_gettime(clock, &t) != 0) {
        fail("process %d has no CPU clock", (int)pid);
    }
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t process_rss_bytes(pid_t pid)
{
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(line, "r");
    if (!f) {
        fail("cannot read %s", line);
    }
    unsigned long long kib = 0;
    int found = 0;
    while (!found && fgets(line, sizeof line, f)) {
        found = sscanf(line, "Rss: %llu kB", &kib) == 1;
    }
    fclose(f);
    if (!found) {
        fail("no Rss of process %d", (int)pid);
    }
    return kib * 1024;
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
