/* Asks how much of the thread's stack is left. */
#include "script/stack_guard.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Addresses in this thread's stack, which grows downwards: below one a script must not call on,
 * below the other it must not resume coroutines. 0: not asked yet. */
static _Thread_local uintptr_t low, nested;

static void find_bounds(void)
{
    pthread_attr_t attr;
    void *begin;
    size_t size;
    low = nested = 1; /* when the system does not tell */
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &begin, &size) == 0) {
        /* From here, since what lies above may be large: thread-local variables, for one. */
        low = (uintptr_t)begin + STACK_GUARD_RESERVE;
        nested = (uintptr_t)__builtin_frame_address(0) - STACK_GUARD_NESTED;
    }
    pthread_attr_destroy(&attr);
}

static bool is_below(const uintptr_t *bound)
{
    if (*bound == 0)
        find_bounds();
    return (uintptr_t)__builtin_frame_address(0) < *bound;
}

int stack_guard_is_low(lua_State *l)
{
    lua_pushboolean(l, is_below(&low));
    return 1;
}

int stack_guard_is_nested(lua_State *l)
{
    lua_pushboolean(l, is_below(&nested) || is_below(&low));
    return 1;
}
