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

static uint64_t server_cpu_ns(const struct window *w)
{
    return w->pid ? process_cpu_ns(w->pid) : 0;
}

static void window_begin(struct window *w)
{
    w->open = true;
    w->messages = 0;
    memset(&w->latency, 0, sizeof w->latency);
    w->server_cpu_ns = server_cpu_ns(w);
    w->client_cpu_ns = process_cpu_ns(0);
    w->begin_ns = now_ns();
}

static void window_close(struct window *w)
{
    w->over = true;
    w->wall_ns = now_ns() - w->begin_ns;
    w->server_cpu_ns = server_cpu_ns(w) - w->server_cpu_ns;
    w->client_cpu_ns = process_cpu_ns(0) - w->client_cpu_ns;
}

bool window_tick(struct window *w)
{
    uint64_t now = now_ns();
    if (now > w->progress_ns + STALL_NS) {
        fail("nothing came for five seconds, %llu messages missing: lost, or the server is stuck",
             (unsigned long long)w->outstanding);
    }
    if (!w->open && now >= w->warm_until_ns) {
        window_begin(w);
    } else if (!w->over && now >= w->end_ns) {
        window_close(w);
    }
    return !w->over || w->outstanding > 0;
}

void window_end(struct window *w)
{
    w->end_ns = 0;
}

void window_expect(struct window *w, uint64_t n)
{
    w->outstanding += n;
}

void window_count(struct window *w, uint64_t now, uint64_t latency_ns)
{
    w->outstanding--;
    w->progress_ns = now;
    if (!w->over) {
        w->messages++;
        histogram_add(&w->latency, latency_ns);
    }
}

void window_print(const struct window *w, const struct options *o, const char *extra)
{
    double wall = (double)w->wall_ns;
    double client = (double)w->client_cpu_ns;
    double n = (double)w->messages;
    if (w->messages == 0) {
        fail("no message in the window");
    }
    printf("{\"mode\":\"%s\",\"messages\":%llu,\"seconds\":%.4f,\"per_second\":%.1f", o->mode,
           (unsigned long long)w->messages, wall / 1e9, n * 1e9 / wall);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
           (double)histogram_quantile(&w->latency, 0.5) / 1e3,
           (double)histogram_quantile(&w->latency, 0.99) / 1e3,
           (double)histogram_quantile(&w->latency, 0.999) / 1e3, (double)w->latency.max / 1e3);
    printf(",\"client_share\":%.3f", client / wall);
    if (w->pid) {
        double server = (double)w->server_cpu_ns;
        /* A busy client beside a server with time to spare: the throughput is then the client's,
         * and the server's CPU per message includes wake-ups that a busy one would not have. */
        bool client_bound = client / wall > 0.97 && server / wall < 0.95;
        printf(",\"cpu_us\":%.4f,\"server_share\":%.3f,\"client_bound\":%s,\"rss_bytes\":%llu",
               server / 1e3 / n, server / wall, client_bound ? "true" : "false",
               (unsigned long long)process_rss_bytes(w->pid));
    }
    printf("%s}\n", extra);
}
