/* Paces LuaJIT's garbage collector: when a cycle begins, and how far it goes at a time.
 *
 * By LuaJIT's default a cycle begins when the heap has doubled. That suits a large heap, where the
 * cost is to go through all that is held. For a small heap two things count: how many messages
 * share the cost of a cycle, and whether new memory lies in the near caches (bench/NOTES.md,
 * "Messages that differ"). So a small heap is collected when it has grown by a third while messages
 * are short, and when half a MiB or two MiB are garbage while they are longer.
 *
 * A cycle advances by small steps, and a string of 1 MiB causes no more of them than one of 20
 * bytes. When each message of 1 MiB is garbage after its hook, 130 MiB would pile up before a cycle
 * ends, and many times that with a larger heap. So large blocks are counted here, and steps that
 * are due for them are made at once.
 *
 * While the app is loaded again and all events wait for that, the collector does not work at all.
 * What was allocated meanwhile is owed, and paid for afterwards in slices between events. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COLLECTOR_LARGE_BYTES = 32 * 1024, /* blocks from this size on are counted */
    /* A small heap is gone through when new large blocks have this size in all. */
    COLLECTOR_GARBAGE_BYTES = 8 * 1024 * 1024,
    COLLECTOR_DEFER_KIB = 16 * 1024 /* when loading allocates more, the collector works again */
};

struct collector {
    int pause;        /* as we set it, in percent; 0: not yet; < 0: the app has set its own */
    int seen_kib;     /* the heap before the last batch, without large blocks */
    int held_kib;     /* a guess: the part of it that is no garbage */
    size_t large;     /* bytes in large blocks that Lua has not freed */
    size_t large_new; /* bytes in large blocks since steps were last made for them */
    bool deferred;
    int before_kib;          /* the heap when the collector was deferred */
    size_t before_large_new; /* large_new at that time */
    int owed_kib;            /* allocated while the collector was deferred, and not paid for yet */
};

/* To be called for each change of a block; a size of 0 stands for no block. */
static inline void collector_note(struct collector *c, size_t old_size, size_t size)
{
    if (size >= COLLECTOR_LARGE_BYTES) {
        c->large += size;
        c->large_new += size;
    }
    if (old_size >= COLLECTOR_LARGE_BYTES)
        c->large -= old_size;
}

/* To be called before each batch, with the length of any of its events. A pause that the app has
 * set by collectgarbage("setpause") stays as it is, and so does a collector that the app has
 * stopped. Returns 0; or what lua_pcall returns, with the error of a finaliser on the stack. */
int collector_pace(struct collector *c, lua_State *l, uint32_t bytes)
    __attribute__((warn_unused_result));

/* Holds the collector back until collector_resume, or until COLLECTOR_DEFER_KIB more are allocated.
 * A collector that the app has stopped stays as it is. */
void collector_defer(struct collector *c, lua_State *l);
void collector_resume(struct collector *c, lua_State *l);
/* Makes a step of the collector for one KiB that is owed. Returns false when nothing is owed any
 * more. Raises the errors of finalisers, and one for want of memory. */
bool collector_pay(struct collector *c, lua_State *l);
