/* How long a reload holds up the events of a worker. All that is done for one in the worker's thread is
 * done in pieces, and each is timed, by two clocks: how long it lasted, and how long the processor worked
 * for this thread meanwhile. Where others want the processor too, only the second is what the reload
 * cost. Pieces of one turn of the loop count as one, for no event need come between them.
 *
 * Pure: the caller says what the clocks say. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum pause_kind {
    PAUSE_PREPARE,   /* the app is loaded */
    PAUSE_COMMIT,    /* the switch */
    PAUSE_ON_RELOAD, /* a slice of the calls of an eager on_reload */
    PAUSE_CLOSE,     /* a slice of the Closes for a route that is gone */
    PAUSE_SEARCH,    /* a slice of the search for functions that connections hold */
    PAUSE_COLLECT /* a slice of the garbage collection that was put off while the app was loaded */
};

struct pause {
    uint64_t us;
    uint64_t cpu_us;
};

/* Of one reload. */
struct pauses {
    bool known;           /* it has committed */
    enum pause_kind kind; /* of the longest, or of the most of it */
    struct pause longest; /* by each clock: it need not be the same one */
    struct pause commit;
};

/* Of a worker; zeroed at first. */
struct pause_clock {
    struct pauses serving; /* of the reload that brought what serves */
    struct pauses next;    /* of the attempt that is under way, or of the last one */
    struct pause began;    /* the piece: what the clocks said */
    struct pause turn;     /* the pieces of the last turn that had any */
    uint64_t most_us;      /* of them, the one that lasted longest */
    enum pause_kind most;
    uint32_t turn_number;
};

/* "prepare", "commit", "on_reload", "close", "search" or "collect". */
const char *pause_name(enum pause_kind kind);

/* A piece begins, and ends; there is none within another. turn: the loop's. An attempt begins with its
 * PAUSE_PREPARE and serves with its PAUSE_COMMIT; what else is done belongs to the reload that serves. */
void pauses_begin(struct pause_clock *p, struct pause now);
void pauses_end(struct pause_clock *p, enum pause_kind kind, uint32_t turn, struct pause now);
