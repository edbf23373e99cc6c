/* The limit lua_bytes: how much memory the Lua of a worker may hold.
 *
 * LuaJIT collects no garbage because memory is short, and when it gets none, the code that happens
 * to ask for it fails. So a heap that has grown over the limit is collected first, between two
 * instructions (watched_interrupt). When that does not help, what runs then fails with an error at
 * its line. Only a block with which it would be several times the limit is refused, as if the
 * system had none: that error does not know its line.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    HEAP_LIMIT_CHECK_BYTES = 64 * 1024, /* allocated between two looks at the heap */
    HEAP_LIMIT_STEPS = 16,              /* it is collected anew after growing by this part */
    HEAP_LIMIT_TIMES = 4                /* the limit: what a block never takes the heap beyond */
};

struct heap_limit {
    size_t unchecked; /* allocated since the heap was looked at */
    size_t most_kib;  /* 0: no limit */
    size_t next_kib;  /* when it has grown to this, it is collected */
};

void heap_limit_set(struct heap_limit *h, size_t bytes);
/* Has the heap grown to where it is collected? */
bool heap_limit_is_over(struct heap_limit *h, lua_State *l);
/* To be called for each block of Lua's. Returns true when the heap should be collected. */
static inline bool heap_limit_is_due(struct heap_limit *h, lua_State *l, size_t size)
{
    h->unchecked += size;
    if (h->unchecked < HEAP_LIMIT_CHECK_BYTES)
        return false;
    h->unchecked = 0;
    return h->most_kib > 0 && heap_limit_is_over(h, l);
}
/* May a block of this size be added? */
bool heap_limit_admits(const struct heap_limit *h, lua_State *l, size_t size);
/* Collects, in the code that runs. Returns true when more than the limit is held all the same.
 * Raises what a finaliser raises. */
bool heap_limit_collect(struct heap_limit *h, lua_State *l);
