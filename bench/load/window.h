/* The measured window: what was done and what it cost. */
#pragma once

#include "histogram.h"
#include "options.h"

#include <stdbool.h>
#include <stdint.h>

struct window {
    uint64_t warm_until_ns; /* before it nothing counts */
    uint64_t end_ns;
    uint64_t begin_ns; /* when counting began */
    uint64_t wall_ns;  /* how long it lasted, once it is over */
    uint64_t progress_ns;
    uint64_t outstanding; /* asked for and not yet come, over all connections */
    uint64_t messages;
    uint64_t server_cpu_ns;
    uint64_t client_cpu_ns;
    pid_t pid;
    bool open;
    bool over; /* nothing more is asked for; what is outstanding must still come */
    struct histogram latency;
};

void window_init(struct window *w, const struct options *o);

/* To be called once per loop turn: opens the window after the warm-up and closes it when its time
 * is over. False when then nothing is outstanding any more. Gives up (fail) when nothing came for
 * five seconds: the server lost a message, or is stuck. */
bool window_tick(struct window *w);

/* The time is over already. */
void window_end(struct window *w);

/* n messages are asked for. */
void window_expect(struct window *w, uint64_t n);

/* One of them came, at now_ns, after latency_ns. */
void window_count(struct window *w, uint64_t now_ns, uint64_t latency_ns);

/* Prints one JSON object on one line. extra is "" or further members, each with its comma. */
void window_print(const struct window *w, const struct options *o, const char *extra);
