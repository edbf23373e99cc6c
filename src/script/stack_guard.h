/* Recursion through C ends the process when the thread's stack is used up, since LuaJIT bounds only
 * its own stacks. The functions of Lua's library by which a script can get there ask first
 * (lua/moonwire/app/guards.lua). */
#pragma once

#include <lua.h>

enum {
    /* What is left of the stack for functions that do not ask: sort, format, callbacks of the FFI.
     * Their depth is bounded by the Lua stack. */
    STACK_GUARD_RESERVE = 3 * 1024 * 1024,
    /* Coroutines may be resumed inside each other in so much of the stack: about a thousand. Each
     * has a Lua stack of its own, and an error has to come up through all of them. */
    STACK_GUARD_NESTED = 256 * 1024
};

/* Lua functions. is_low() returns whether no more than the reserve is left of this thread's stack;
 * is_nested() whether more than STACK_GUARD_NESTED is used since the thread asked first, or
 * is_low. */
int stack_guard_is_low(lua_State *l) __attribute__((warn_unused_result));
int stack_guard_is_nested(lua_State *l) __attribute__((warn_unused_result));
