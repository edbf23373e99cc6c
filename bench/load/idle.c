/* The server's user memory per connection that is open and silent. */
#include "conn.h"
#include "fail.h"
#include "modes.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Opened first and not counted: what the first connections make the server allocate once for all
 * (receive buffers, compiled hooks) is no memory per connection. */
enum { FIRST = 64 };

/* Until two looks a quarter of a second apart agree, three seconds at most: allocators and
 * collectors work on for a moment. */
static uint64_t settled_rss(pid_t pid)
{
    uint64_t last = process_rss_bytes(pid);
    for (int i = 0; i < 12; i++) {
        usleep(250000);
        uint64_t rss = process_rss_bytes(pid);
        if (rss == last) {
            break;
        }
        last = rss;
    }
    return last;
}

int idle_run(const struct options *o)
{
    if (o->pid == 0) {
        fail("idle needs --pid");
    }
    SSL_CTX *tls = conn_tls_new(o);
    uint64_t start = process_rss_bytes(o->pid);
    struct conn *first = conn_open_all(0, FIRST, o, tls);
    uint64_t before = settled_rss(o->pid);
    uint64_t cpu = process_cpu_ns(o->pid);
    uint64_t begin = now_ns();
    struct conn *conns = conn_open_all(FIRST, o->connections, o, tls);
    double seconds = (double)(now_ns() - begin) / 1e9;
    uint64_t after = settled_rss(o->pid);
    double n = (double)o->connections;
    printf("{\"mode\":\"idle\",\"connections\":%u,\"bytes_per_connection\":%.0f", o->connections,
           ((double)after - (double)before) / n);
    printf(",\"rss_start\":%llu,\"rss_before\":%llu,\"rss_after\":%llu", (unsigned long long)start,
           (unsigned long long)before, (unsigned long long)after);
    printf(",\"open_seconds\":%.2f,\"open_cpu_us\":%.2f}\n", seconds,
           (double)(process_cpu_ns(o->pid) - cpu) / 1e3 / n);
    free(first);
    free(conns);
    return 0;
}
