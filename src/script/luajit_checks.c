/* Turns the profiler's checks on for the first instruction of each trace. */
#include "script/luajit_checks.h"

#include <string.h>

#include "script/luajit_layout.h"

/* jit.attach "record": before each instruction that is recorded. Not "trace", which would tell of
 * the first one: where a stack is used up, LuaJIT tries for ever to tell such a handler that it has
 * given a trace up. */
static int on_record(lua_State *l)
{
    const struct luajit_layout *layout = luajit_layout();
    char *first = lua_touserdata(l, lua_upvalueindex(1));
    const void *last;
    memcpy(&last, first + layout->check_last, sizeof(last));
    const int mode = last ? 0 : 'l';
    memcpy(first + layout->check_mode, &mode, sizeof(mode));
    return 0;
}

void luajit_checks_write(lua_State *l)
{
    lua_getglobal(l, "jit");
    lua_getfield(l, -1, "attach");
    lua_pushlightuserdata(l, l);
    lua_pushcclosure(l, on_record, 1);
    lua_pushliteral(l, "record");
    lua_call(l, 2, 0);
    lua_pop(l, 1);
}
