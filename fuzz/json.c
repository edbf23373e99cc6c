/* JSON from outside. The oracles: a refusal is nil and a text; what was read can be written, and
 * what was written is read again. */
#include <assert.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>

#include "script/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *state;

/* The C library's memory: the leak check does not see what lies in LuaJIT's own. */
static void *allocate(void *unused, void *block, size_t old_size, size_t size)
{
    (void)unused;
    (void)old_size;
    if (size > 0)
        return realloc(block, size);
    free(block);
    return NULL;
}

/* Leaves the table that json_open gives at index 1. */
static lua_State *json(void)
{
    if (state)
        return state;
    state = lua_newstate(allocate, NULL);
    assert(state);
    lua_pushcfunction(state, json_open);
    lua_call(state, 0, 1);
    return state;
}

/* Calls the function of this name with what lies on top, and leaves its `results` there. */
static void call(lua_State *l, const char *name, int results)
{
    lua_getfield(l, 1, name);
    lua_insert(l, -2);
    int failed = lua_pcall(l, 1, results, 0);
    assert(!failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *l = json();
    lua_settop(l, 1);
    lua_pushlstring(l, (const char *)data, size);
    call(l, "decode", 2);
    if (lua_isnil(l, 2)) {
        assert(lua_type(l, 3) == LUA_TSTRING);
        return 0;
    }
    lua_settop(l, 2);
    call(l, "encode", 1);
    assert(lua_type(l, 2) == LUA_TSTRING);
    lua_pushvalue(l, 2);
    call(l, "decode", 1);
    assert(!lua_isnil(l, 3));
    call(l, "encode", 1);
    /* Members come in any order, but are as many and as long. */
    assert(lua_objlen(l, 2) == lua_objlen(l, 3));
    return 0;
}
