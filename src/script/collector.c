#include "script/collector.h"

#include <stdbool.h>

enum { SMALL_KIB = 2048, SHORT_BYTES = 4096, SMALL_PAUSE = 130, DEFAULT_PAUSE = 200 };

static void set_pause(struct collector *c, lua_State *l, int pause)
{
    if (pause == c->pause || c->pause < 0)
        return;
    int was = lua_gc(l, LUA_GCSETPAUSE, pause);
    if (was == (c->pause ? c->pause : DEFAULT_PAUSE)) {
        c->pause = pause;
    } else {
        lua_gc(l, LUA_GCSETPAUSE, was);
        c->pause = -1;
    }
}

/* Protected: finalisers may run, and raise. */
static int step(lua_State *l)
{
    lua_gc(l, LUA_GCSTEP, (int)lua_tointeger(l, 1));
    return 0;
}

/* Goes on as if so much had been allocated in small blocks, at most to the end of the cycle. So a small
 * heap is gone through now and then, and a large one by two bytes for each new one. */
static int pay_for_large(struct collector *c, lua_State *l)
{
    size_t held = ((size_t)lua_gc(l, LUA_GCCOUNT, 0) << 10) - c->large;
    if (c->large_new < COLLECTOR_GARBAGE_BYTES && held <= COLLECTOR_GARBAGE_BYTES)
        return 0;
    int kib = (int)(c->large_new >> 10);
    c->large_new = 0;
    if (!lua_gc(l, LUA_GCISRUNNING, 0))
        return 0;
    lua_pushcfunction(l, step);
    lua_pushinteger(l, kib);
    return lua_pcall(l, 1, 0, 0);
}

int collector_pace(struct collector *c, lua_State *l, uint32_t bytes)
{
    bool small = bytes <= SHORT_BYTES && lua_gc(l, LUA_GCCOUNT, 0) < SMALL_KIB;
    set_pause(c, l, small ? SMALL_PAUSE : DEFAULT_PAUSE);
    return c->large_new > 0 ? pay_for_large(c, l) : 0;
}
