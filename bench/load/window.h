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
    uint64_t progress_ns;
    uint64_t messages;
    uint64_t server_cpu_ns;
    uint64_t client_cpu_ns;
    pid_t pid;
    bool open;
    struct histogram latency;
};

void window_init(struct window *w, const struct options *o);

/* To be called once per loop turn: opens the window after the warm-up. False when it is over.
 * Gives up (fail) when no message was counted for five seconds: the server lost one. */
bool window_tick(struct window *w);

/* One message that took latency_ns. */
void window_count(struct window *w, uint64_t latency_ns);

/* Closes the window and prints one JSON object on one line. extra is "" or further members, each
 * with its leading comma. */
void window_print(struct window *w, const struct options *o, const char *extra);
