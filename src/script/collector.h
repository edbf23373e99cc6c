/* How often LuaJIT's collector begins anew, and how far it goes.
 *
 * By its own default a cycle begins when the heap has doubled. That suits a large heap, where going through
 * all that is held is what costs. With a small one, what a cycle costs for each message depends on how many
 * fit between two, and how fast memory is found on whether it lies in the near caches (bench/NOTES.md,
 * "Messages that differ"). So while messages are short a small heap is collected when it has grown by a third,
 * and while they are longer when half a MiB or two are garbage.
 *
 * A cycle goes on by a small step now and then, as long for a string of 1 MiB as for one of 20 bytes. Texts
 * of 1 MiB, each of which is garbage when its hook is done, were 130 MiB before a cycle ended, and with a
 * larger heap would be many times that. So large blocks are counted here, and their part is paid at once.
 *
 * While the app is loaded again, and all events wait for that, it does not work at all: what was allocated
 * meanwhile is paid for afterwards, in slices between the events. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COLLECTOR_LARGE_BYTES = 32 * 1024, /* a block of so much is counted */
    COLLECTOR_GARBAGE_BYTES =
        8 * 1024 * 1024,            /* in new ones, before a small heap is gone through */
    COLLECTOR_DEFER_KIB = 16 * 1024 /* beyond so much, loading pays for itself */
};

struct collector {
    int pause;    /* the one that was set, in percent; 0: none yet; < 0: the app has set its own */
    int seen_kib; /* the heap without large blocks, before the last batch */
    int held_kib; /* what is held of that: a guess */
    size_t large; /* bytes in large blocks that Lua has not freed */
    size_t large_new; /* of them: since what is due for them was last paid */
    bool deferred;
    int before_kib; /* the heap when it was deferred, and large_new */
    size_t before_large_new;
    int owed_kib; /* allocated while it was deferred */
};

/* For each change of a block, of which sizes may be 0. */
static inline void collector_note(struct collector *c, size_t old_size, size_t size)
{
    if (size >= COLLECTOR_LARGE_BYTES) {
        c->large += size;
        c->large_new += size;
    }
    if (old_size >= COLLECTOR_LARGE_BYTES)
        c->large -= old_size;
}

/* Before each batch, one of whose events has this many bytes: which one does not matter. What the app
 * has set by collectgarbage("setpause") stays as it is, and so does a collector that it has stopped. 0, or
 * what lua_pcall gave, with its error on the stack: a finaliser's. */
int collector_pace(struct collector *c, lua_State *l, uint32_t bytes);

/* It does not work from now on, until collector_resume or COLLECTOR_DEFER_KIB more are allocated. One that
 * the app has stopped stays so. */
void collector_defer(struct collector *c, lua_State *l);
void collector_resume(struct collector *c, lua_State *l);
/* Pays for a KiB that was allocated while it was deferred, with a step of the collector. False: nothing is
 * owed. May raise what finalisers raise, or for want of memory. */
bool collector_pay(struct collector *c, lua_State *l);
