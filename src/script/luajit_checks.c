/* Turns the profiler's checks on for the first instruction of each trace. */
#include "script/luajit_checks.h"

#include <stdbool.h>
#include <string.h>

#include "script/luajit_layout.h"

/* What both handlers below have as their upvalue. */
struct checks {
    int *mode;     /* the compiler's */
    bool is_first; /* the next instruction is the first of its trace */
};

static struct checks *checks_of(lua_State *l)
{
    return lua_touserdata(l, lua_upvalueindex(1));
}

/* jit.attach "trace". */
static int on_trace(lua_State *l)
{
    struct checks *c = checks_of(l);
    const char *what = lua_tostring(l, 1);
    if (what && strcmp(what, "start") == 0) {
        *c->mode = 'l';
        c->is_first = true;
    }
    return 0;
}

/* jit.attach "record": called before an instruction is recorded. */
static int on_record(lua_State *l)
{
    struct checks *c = checks_of(l);
    if (!c->is_first)
        *c->mode = 0;
    c->is_first = false;
    return 0;
}

/* The userdata on top of the stack stays there. */
static void attach(lua_State *l, lua_CFunction handler, const char *event)
{
    lua_getglobal(l, "jit");
    lua_getfield(l, -1, "attach");
    lua_pushvalue(l, -3);
    lua_pushcclosure(l, handler, 1);
    lua_pushstring(l, event);
    lua_call(l, 2, 0);
    lua_pop(l, 1);
}

void luajit_checks_write(lua_State *l)
{
    struct checks *c = lua_newuserdata(l, sizeof(*c));
    *c = (struct checks){.mode = (int *)(void *)((char *)l + luajit_layout()->check_mode)};
    attach(l, on_trace, "trace");
    attach(l, on_record, "record");
    lua_pop(l, 1);
}
