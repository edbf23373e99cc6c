/* How many file descriptors there are, and how many of them connections may have. */
#include "main/files.h"

#include <sys/resource.h>

enum {
    WANTED = 1 << 20, /* a higher limit would make programs slow that close all possible ones */
    OF_PROCESS = 64,
    OF_WORKER = 16,
    AT_START = 16, /* standard streams, the app, a few listeners */
    AT_START_OF_WORKER = 4,
    SERVED_SHARE = 32 /* one in 32 is for files that are being served */
};

uint64_t files_raise(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return WANTED;
    rlim_t wanted = files.rlim_max < WANTED ? files.rlim_max : WANTED;
    if (files.rlim_cur >= wanted)
        return files.rlim_cur;
    rlim_t had = files.rlim_cur;
    files.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &files) ? had : wanted;
}

uint64_t files_needed(uint32_t workers)
{
    return AT_START + (uint64_t)AT_START_OF_WORKER * (workers + 1); /* the main thread has a loop */
}

uint32_t files_connections(uint64_t limit, uint32_t workers)
{
    uint64_t own = OF_PROCESS + (uint64_t)OF_WORKER * workers + limit / SERVED_SHARE;
    if (own > limit / 2)
        own = limit / 2;
    return limit - own < UINT32_MAX ? (uint32_t)(limit - own) : UINT32_MAX;
}
