/* Where LuaJIT keeps what its interface does not tell: needed to mend a fault of LuaJIT's (see
 * luajit_layout_no_memory) and to stop machine code (watch.h). Nothing is assumed. A scratch state
 * shows at the first call where things are, and when that is not certain, nothing is ever written.
 */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Distances in bytes from the first lua_State of a state, but `base` from any lua_State. */
struct luajit_layout {
    bool known;        /* the first three */
    size_t running;    /* lua_State *: the coroutine that runs */
    size_t trace_base; /* its stack frame as machine code sees it; NULL: the interpreter runs */
    size_t base;       /* its stack frame as the interpreter last saw it */
    bool hooks_known;  /* the others */
    size_t hook_mask;  /* a byte: which debug hooks are set, and the flags below */
    size_t check_mode; /* an int: 'l' or 'f' while the compiler writes checks for a profiler */
    size_t check_last; /* void *: where it wrote the last one in this trace; NULL: nowhere yet */
};

/* Flags beside LUA_MASKCALL and its kin. */
enum {
    LUAJIT_HOOK_ACTIVE = 0x10,  /* a debug hook runs, or what must not be interrupted by one */
    LUAJIT_HOOK_GC = 0x40,      /* a finaliser runs */
    LUAJIT_HOOK_PROFILE = 0x80, /* machine code leaves for the interpreter at its next check */
};

/* Finds them out. From any thread; takes a millisecond once. */
const struct luajit_layout *luajit_layout(void);

/* To be called by the allocator of the state whose first lua_State is l, before it returns NULL.
 * Where machine code has asked for the memory, LuaJIT up to 2023-06-02 (commit 2d8300c1) unwinds
 * from a stale stack frame and crashes. This does what the mended version does. */
void luajit_layout_no_memory(lua_State *l);
