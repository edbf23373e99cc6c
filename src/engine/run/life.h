/* A worker begins, runs and ends. */
#pragma once

#include "engine/worker/worker.h"

struct connect_queues;

/* What the workers of a process share; all of it must outlive them. */
struct life_shared {
    struct server *server;
    const struct log *log;
    const struct mailboxes *mailboxes;
    struct admission *admission;
    struct origins_refused *origins_refused;
    struct audiences *audiences;
    struct resolver *resolver;
    struct connect_queues *connect_queues;
    const struct memory_budget *budget;
};

/* Prepares a worker; its script and its site come later. 0, ERR_MEMORY or ERR_IO (the system gives
 * no event loop); life_end is due in either case. */
int life_begin(struct worker *w, const struct life_shared *shared, uint32_t index)
    __attribute__((warn_unused_result));
/* The body of the worker's thread: runs the loop until it is stopped. */
void life_run(struct worker *w);
/* Ends the loop now, whatever is open. As a letter; NULL: out of memory. */
struct letter *life_stop_letter(void) __attribute__((warn_unused_result));
/* Closes and frees everything. When the thread has ended and the script is gone. */
void life_end(struct worker *w);
