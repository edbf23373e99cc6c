/* Holds LuaJIT's profiler. */
#include "script/luajit_profiler.h"

#include <lauxlib.h>
#include <luajit.h>
#include <signal.h>
#include <sys/time.h>

static lua_State *owner; /* for the life of the process: its callback may be called at any time */

static void no_sample(void *data, lua_State *l, int samples, int vmstate)
{
    (void)data;
    (void)l;
    (void)samples;
    (void)vmstate;
}

/* Profiles l, without the timer. */
static void take(lua_State *l)
{
    struct sigaction before;
    (void)sigaction(SIGPROF, NULL, &before);
    luaJIT_profile_start(l, "i2000000000", no_sample, NULL);
    const struct itimerval never = {0};
    (void)setitimer(ITIMER_PROF, &never, NULL);
    (void)sigaction(SIGPROF, &before, NULL);
}

void luajit_profiler_own(void)
{
    owner = luaL_newstate();
    if (owner)
        take(owner);
}

void luajit_profiler_lend(bool lent)
{
    if (owner && lent)
        luaJIT_profile_stop(owner);
    else if (owner)
        take(owner);
}

bool luajit_profiler_set_mode(lua_State *l, const char *mode)
{
    if (owner) /* of which LuaJIT sees that it has the profiler, and changes the mode alone */
        luaJIT_profile_start(l, mode, no_sample, NULL);
    return owner;
}
