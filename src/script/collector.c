#include "script/collector.h"

#include <stdbool.h>

enum { SMALL_KIB = 2048, SHORT_BYTES = 4096, SMALL_PAUSE = 130, DEFAULT_PAUSE = 200 };

void collector_pace(struct collector *c, lua_State *l, uint32_t bytes)
{
    bool small = bytes <= SHORT_BYTES && lua_gc(l, LUA_GCCOUNT, 0) < SMALL_KIB;
    int pause = small ? SMALL_PAUSE : DEFAULT_PAUSE;
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
