/* Asks all workers, in rounds, what they know of their generations: one letter to each, and an
 * answer from each. One round runs at a time. A worker whose hook does not return does not answer,
 * so a round ends without it after CONTROL_ROUND_SECONDS.
 *
 * The main thread's. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct server;

enum { CONTROL_ROUND_SECONDS = 1 };

struct control_answer {
    bool posted; /* a letter is in the worker's mailbox: one that is stuck gets no second one */
    bool given;  /* in this round */
    struct buffer generations; /* as JSON, empty until the answer is given */
};

struct control_rounds {
    struct server *server;
    void (*ended)(struct control_rounds *r, uint32_t round);
    bool running;
    uint32_t round; /* of the last one that began; workers read it under the lock */
    ev_async wake;  /* the last answer has come */
    ev_timer late;
    pthread_mutex_t lock;
    struct {
        uint32_t missing;
        struct control_answer *answers; /* by worker */
    } locked;
};

/* ended is called at the end of each round and may begin another. 0 or ERR_MEMORY;
 * control_rounds_deinit is due in either case. */
int control_rounds_init(struct control_rounds *r, struct server *s,
                        void (*ended)(struct control_rounds *r, uint32_t round))
    __attribute__((warn_unused_result));
/* After the workers' threads have ended. */
void control_rounds_deinit(struct control_rounds *r);
/* Begins a round. None may be running. */
void control_rounds_begin(struct control_rounds *r);
