/* The pause of LuaJIT's collector, and the steps for what its own pace does not see. */
#include "script/collector.h"

/* Measured on a processor with a second-level cache of 1 MiB: bench/NOTES.md, "Messages that
 * differ". */
enum {
    SHORT_BYTES = 512,
    LONG_BYTES = 8 * 1024,
    SHORT_PAUSE = 130,
    MIDDLE_GARBAGE_KIB = 512,
    LONG_GARBAGE_KIB = 2048,
    SMALL_KIB = 2048, /* short messages get SHORT_PAUSE while less than this is held */
    DEFAULT_PAUSE = 200,
    GRAIN_KIB = 64 /* held memory is rounded to this, so that the pause seldom changes */
};

/* The heap without large blocks, for which steps are made apart. */
static int small_blocks_kib(const struct collector *c, lua_State *l)
{
    return lua_gc(l, LUA_GCCOUNT, 0) - (int)(c->large >> 10);
}

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

/* Called protected, since finalisers may run and raise an error. */
static int step(lua_State *l)
{
    const int *kib = lua_touserdata(l, 1);
    lua_gc(l, LUA_GCSTEP, *kib);
    return 0;
}

/* Advances the cycle as if the new large blocks had been allocated in small ones, at most to its
 * end. So a small heap is gone through now and then, and a large one by two bytes for each new
 * byte. */
static int pay_for_large(struct collector *c, lua_State *l)
{
    bool is_small = (size_t)small_blocks_kib(c, l) <= COLLECTOR_GARBAGE_BYTES >> 10;
    if (c->large_new < COLLECTOR_GARBAGE_BYTES && is_small)
        return 0;
    int kib = (int)(c->large_new >> 10);
    c->large_new = 0;
    if (!lua_gc(l, LUA_GCISRUNNING, 0))
        return 0;
    return lua_cpcall(l, step, &kib);
}

/* Guesses what a cycle leaves: the size of the heap when it last shrank, or when it has grown by
 * more than garbage can explain. */
static int held_kib(struct collector *c, lua_State *l)
{
    int kib = small_blocks_kib(c, l);
    if (kib <= c->seen_kib || kib > c->held_kib + 2 * LONG_GARBAGE_KIB || c->held_kib == 0)
        c->held_kib = kib;
    c->seen_kib = kib;
    return c->held_kib;
}

static int pause_for(int held, uint32_t bytes)
{
    int garbage = bytes < LONG_BYTES ? MIDDLE_GARBAGE_KIB : LONG_GARBAGE_KIB;
    if (held < SMALL_KIB && bytes < SHORT_BYTES)
        return SHORT_PAUSE;
    int grains = held / GRAIN_KIB + 1;
    return grains * GRAIN_KIB < garbage ? 100 + 100 * garbage / (grains * GRAIN_KIB)
                                        : DEFAULT_PAUSE;
}

int collector_pace(struct collector *c, lua_State *l, uint32_t bytes)
{
    set_pause(c, l, pause_for(held_kib(c, l), bytes));
    return c->large_new > 0 ? pay_for_large(c, l) : 0;
}

/* Sets a threshold that is far away instead of calling LUA_GCSTOP, so that collector_resume sees
 * whether the app has stopped the collector meanwhile. LUA_GCRESTART with -1 sets the threshold by
 * the pause, as the end of a cycle does. */
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
    c->large_new = c->before_large_new; /* large blocks since then are part of owed_kib */
    if (!lua_gc(l, LUA_GCISRUNNING, 0))
        return;
    int grown_kib = lua_gc(l, LUA_GCCOUNT, 0) - c->before_kib;
    if (grown_kib > COLLECTOR_DEFER_KIB)
        grown_kib = COLLECTOR_DEFER_KIB;
    if (grown_kib > 0)
        c->owed_kib += grown_kib;
    lua_gc(l, LUA_GCRESTART, 0);
}

/* LUA_GCSTEP would at once make all steps that are due for large strings. So one step is caused in
 * the way in which LuaJIT causes it: the threshold is reached, and the next new table checks it. */
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
