/* Lua that can be stopped: a loop in a hook ends with an error at its own line, while the compiler
 * stays on and all values live on. docs/decisions/watchdog.md has the reasons.
 *
 * Another thread (watchdog.h) sees that Lua gets no further (struct watched_progress), and sends a
 * signal to the thread that runs it, every few milliseconds. The handler sets a debug hook for
 * every instruction, and the flag that makes machine code leave for the interpreter. The hook
 * raises an error in whatever code of the app runs then, again and again until none does. */
#pragma once

#include <lua.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/ground/event.h"

enum {
    WATCHED_NEVER = UINT32_MAX, /* in place of a time */
    WATCHED_WHERE_BYTES = 160
};

/* As long as it stays the same, one and the same hook runs. */
struct watched_progress {
    uint32_t entered;
    int32_t at;
    uint32_t ticks;
};

/* What is watched: one lua_State. */
struct watched {
    lua_State *lua; /* its first */
    struct event_batch *batch;
    const struct log *log;
    uint32_t worker; /* its number, for the log */
    /* For how many milliseconds what runs now may; WATCHED_NEVER. Called in a signal handler,
     * in the thread that runs Lua. */
    uint32_t (*allowed_ms)(const void *context);
    /* Pushes what the error says behind the place: that time is over, or, for 0, what `interrupted`
     * has found. */
    void (*push_reason)(lua_State *l, const void *context, uint32_t allowed_ms);
    /* After watched_interrupt, between two instructions of Lua. true: what runs is to fail. */
    bool (*interrupted)(lua_State *l, void *context);
    void *context;

    struct watched *next; /* in the list of all */
    /* Written by the thread that runs Lua, or in its handler. */
    _Atomic uint32_t least_ms; /* the least that allowed_ms may say */
    _Atomic int thread;        /* its number for the system */
    _Atomic uint32_t entered;  /* how often Lua was entered and left: odd while it runs */
    _Atomic uint32_t next_ms;  /* the handler has found: nothing to do before that */
    _Atomic bool over;         /* what runs has lasted for too long */
    _Atomic bool located;      /* where is written, */
    char where
        [WATCHED_WHERE_BYTES]; /* for the thread that looks: "app.lua:3", "find at app.lua:3" */
    /* Written by the thread that looks. */
    _Atomic uint32_t stands_ms; /* for how long there was no progress */

    /* Of the thread that runs Lua and of its handler: what is being stopped. */
    struct watched_progress stopping;
    volatile sig_atomic_t kicks;
    volatile sig_atomic_t acts;    /* kicks upon which something was done */
    volatile sig_atomic_t skipped; /* kicks that came at a bad moment */
    volatile uint32_t allowed;     /* what was exceeded; 0: only `where` is wanted */
    bool interrupt;                /* watched_interrupt was called */
    bool fails;                    /* the app's code is to fail once, in this progress: */
    struct watched_progress failing;
    uint32_t deferred; /* instructions of our own modules meanwhile */
    uint32_t spared;
    bool in_finaliser;

    /* Of the thread that looks. */
    struct watched_progress seen;
    uint64_t seen_ms; /* by clock_monotonic_ms: since then it is the same */
    bool told;
};

/* Before and after Lua runs, in the thread that runs it. */
void watched_enter(struct watched *w);
void watched_leave(struct watched *w);
/* From a function of C that Lua has called, such as its allocator, while it runs: `interrupted` is
 * called soon. */
void watched_interrupt(struct watched *w);
/* What runs goes on with all its time before it. In that thread. */
void watched_renew(struct watched *w);
/* w is not used any more; no other thread may kick it. */
void watched_end(const struct watched *w);

/* ---- for the thread that looks ---- */

/* Handles the signals of watched_kick. Once. 0 or ERR_IO. */
int watched_init(void) __attribute__((warn_unused_result));
/* Has the handler look at what runs there. */
void watched_kick(const struct watched *w);
/* From any thread. */
struct watched_progress watched_progress(const struct watched *w);
bool watched_is_same(const struct watched_progress *a, const struct watched_progress *b);
