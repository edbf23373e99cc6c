/* Looks for how long each worker's turn lasts. */
#include "engine/server/stuck.h"

#include "base/clock.h"
#include "engine/server/server.h"

static const ev_tstamp look_seconds = 0.5;

enum { BITS = 64 };

_Static_assert(SERVER_WORKERS_MAX <= 4 * BITS, "struct stuck has a bit for each worker");

static void tell_once(struct stuck *s, uint32_t worker, bool is_stuck)
{
    uint64_t *bits = &s->told[worker / BITS], bit = (uint64_t)1 << worker % BITS;
    if (is_stuck && !(*bits & bit))
        count(&s->server->counters, COUNT_STUCK_WORKERS, 1);
    *bits = is_stuck ? *bits | bit : *bits & ~bit;
}

static void give_up(struct stuck *s, uint32_t worker, uint64_t busy_ms)
{
    s->gave_up = true;
    log_write(&s->server->log, LOG_ERROR,
              "worker %u has been stuck for %.0f s (limits.stuck_seconds): it is given up; all "
              "others close their connections, and the process ends",
              worker, (double)busy_ms / 1000);
    server_drain(s->server);
}

static void look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct stuck *s = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t most_ms = admission_limits(&s->server->admission).stuck_seconds * (uint64_t)1000;
    for (uint32_t i = 0; i < s->server->worker_count; i++) {
        uint64_t busy_ms = pulse_busy_ms(&s->server->workers[i].pulse, now_ms);
        tell_once(s, i, busy_ms >= PULSE_STUCK_MS);
        if (most_ms > 0 && busy_ms >= most_ms && !s->gave_up)
            give_up(s, i, busy_ms);
    }
}

void stuck_begin(struct stuck *s, struct server *server)
{
    *s = (struct stuck){.server = server};
    ev_timer_init(&s->look, look, look_seconds, look_seconds);
    s->look.data = s;
    ev_timer_start(server->loop, &s->look);
}

void stuck_end(struct stuck *s)
{
    ev_timer_stop(s->server->loop, &s->look);
}
