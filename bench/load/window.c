#include "window.h"

#include "fail.h"
#include "process.h"

#include <stdio.h>
#include <string.h>

static const uint64_t STALL_NS = 5000000000u;

void window_init(struct window *w, const struct options *o)
{
    memset(w, 0, sizeof *w);
    uint64_t now = now_ns();
    w->pid = o->pid;
    w->progress_ns = now;
    w->warm_until_ns = now + (uint64_t)(o->warmup_seconds * 1e9);
    w->end_ns = w->warm_until_ns + (uint64_t)(o->seconds * 1e9);
}

bool window_tick(struct window *w)
{
    uint64_t now = now_ns();
    if (now - w->progress_ns > STALL_NS) {
        fail("no message for five seconds: the server lost one, or is stuck");
    }
    if (!w->open && now >= w->warm_until_ns) {
        w->open = true;
        w->messages = 0;
        memset(&w->latency, 0, sizeof w->latency);
        w->server_cpu_ns = w->pid ? process_cpu_ns(w->pid) : 0;
        w->client_cpu_ns = process_cpu_ns(0);
        w->begin_ns = now_ns();
    }
    return now < w->end_ns;
}

void window_count(struct window *w, uint64_t latency_ns)
{
    w->messages++;
    histogram_add(&w->latency, latency_ns);
}

void window_print(struct window *w, const struct options *o, const char *extra)
{
    uint64_t end = now_ns();
    double wall = (double)(end - w->begin_ns);
    double client = (double)(process_cpu_ns(0) - w->client_cpu_ns);
    if (w->messages == 0) {
        fail("no message in the window");
    }
    double n = (double)w->messages;
    printf("{\"mode\":\"%s\",\"messages\":%llu,\"seconds\":%.4f,\"per_second\":%.1f", o->mode,
           (unsigned long long)w->messages, wall / 1e9, n * 1e9 / wall);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
           (double)histogram_quantile(&w->latency, 0.5) / 1e3,
           (double)histogram_quantile(&w->latency, 0.99) / 1e3,
           (double)histogram_quantile(&w->latency, 0.999) / 1e3, (double)w->latency.max / 1e3);
    printf(",\"client_share\":%.3f", client / wall);
    if (w->pid) {
        double server = (double)(process_cpu_ns(w->pid) - w->server_cpu_ns);
        /* A busy client beside a server with time to spare: the throughput is then the client's,
         * and the server's CPU per message includes wake-ups that a busy one would not have. */
        bool client_bound = client / wall > 0.97 && server / wall < 0.95;
        printf(",\"cpu_us\":%.4f,\"server_share\":%.3f,\"client_bound\":%s,\"rss_bytes\":%llu",
               server / 1e3 / n, server / wall, client_bound ? "true" : "false",
               (unsigned long long)process_rss_bytes(w->pid));
    }
    printf("%s}\n", extra);
}
