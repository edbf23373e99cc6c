#include "script/collector.h"

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
    const int *kib = lua_touserdata(l, 1);
    lua_gc(l, LUA_GCSTEP, *kib);
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
    return lua_cpcall(l, step, &kib);
}

int collector_pace(struct collector *c, lua_State *l, uint32_t bytes)
{
    bool small = bytes <= SHORT_BYTES && lua_gc(l, LUA_GCCOUNT, 0) < SMALL_KIB;
    set_pause(c, l, small ? SMALL_PAUSE : DEFAULT_PAUSE);
    return c->large_new > 0 ? pay_for_large(c, l) : 0;
}

/* By a threshold far away, and not by LUA_GCSTOP: so it is known afterwards whether the app has stopped it
 * meanwhile. (LUA_GCRESTART with -1 sets the threshold by the pause, as at the end of a cycle.) */
void collector_defer(struct collector *c, lua_State *l)
{
    c->deferred = lua_gc(l, LUA_GCISRUNNING, 0) && c->owed_kib < COLLECTOR_DEFER_KIB;
    if (!c->deferred)
        return;
    c->before_kib = lua_gc(l, LUA_GCCOUNT, 0);
    c->before_large_new = c->large_new;
    int kib = c->before_kib > 0 ? c->before_kib : 1;
    int pause = lua_gc(l, LUA_GCSETPAUSE, 100 + (int)(100ll * COLLECTOR_DEFER_KIB / kib));
    lua_gc(l, LUA_GCRESTART, -1);
    lua_gc(l, LUA_GCSETPAUSE, pause);
}

void collector_resume(struct collector *c, lua_State *l)
{
    if (!c->deferred)
        return;
    c->deferred = false;
    c->large_new = c->before_large_new; /* what came meanwhile is owed with the rest */
    if (!lua_gc(l, LUA_GCISRUNNING, 0))
        return;
    int grown_kib = lua_gc(l, LUA_GCCOUNT, 0) - c->before_kib;
    if (grown_kib > COLLECTOR_DEFER_KIB)
        grown_kib = COLLECTOR_DEFER_KIB;
    if (grown_kib > 0)
        c->owed_kib += grown_kib;
    lua_gc(l, LUA_GCRESTART, 0);
}

/* LUA_GCSTEP would also pay, in one go, all that is owed for large strings. So one step is brought about as
 * LuaJIT does it itself: the threshold is reached, and the next table looks. */
bool collector_pay(struct collector *c, lua_State *l)
{
    if (c->owed_kib > 0 && !lua_gc(l, LUA_GCISRUNNING, 0))
        c->owed_kib = 0;
    if (c->owed_kib == 0)
        return false;
    lua_gc(l, LUA_GCRESTART, 0);
    lua_newtable(l);
    lua_pop(l, 1);
    c->owed_kib--;
    return c->owed_kib > 0;
}
