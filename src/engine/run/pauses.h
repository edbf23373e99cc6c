/* How long a reload holds up the events of a worker. The worker's thread does its part in steps,
 * and each is timed by two clocks: how long it lasted, and how long the processor worked for this
 * thread meanwhile. Where other threads want the processor too, only the second is what the reload
 * cost. The steps of one turn of the loop count as one, since no event need come between them.
 *
 * Pure: the caller passes the clocks' times. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum pause_kind {
    PAUSE_PREPARE,   /* the app is loaded */
    PAUSE_COMMIT,    /* the switch */
    PAUSE_ON_RELOAD, /* a slice of the calls of an eager on_reload */
    PAUSE_CLOSE,     /* a slice of the Closes for a route that is gone */
    PAUSE_SEARCH,    /* a slice of the search for functions that connections hold */
    PAUSE_COLLECT    /* a slice of the garbage collection that loading the app has put off */
};

struct pause {
    uint64_t us;
    uint64_t cpu_us;
};

/* The pauses of one reload. */
struct pauses {
    bool known;           /* the reload has committed */
    enum pause_kind kind; /* of the longest pause, or of its longest step */
    struct pause longest; /* by each clock: it need not be the same one */
    struct pause commit;
};

/* The clock of a worker; all zero at first. */
struct pause_clock {
    struct pauses serving; /* of the reload that brought what serves */
    struct pauses next;    /* of the attempt that is under way, or of the last one */
    struct pause began;    /* the clocks when the step began */
    struct pause turn;     /* the steps of the last turn that had any */
    uint64_t most_us;      /* the longest of these steps, and its kind */
    enum pause_kind most;
    uint32_t turn_number;
};

/* "prepare", "commit", "on_reload", "close", "search" or "collect". */
const char *pause_name(enum pause_kind kind);

/* A step begins, and ends, and none is within another. turn: the number of the loop's turn.
 * PAUSE_PREPARE begins an attempt, PAUSE_COMMIT makes it serve; all other kinds belong to the
 * reload that serves. */
void pauses_begin(struct pause_clock *p, struct pause now);
void pauses_end(struct pause_clock *p, enum pause_kind kind, uint32_t turn, struct pause now);
