/* The two functions of mw.json, and the memory that they share. */
#include "script/json.h"

#include <lauxlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "script/json_read.h"
#include "script/json_write.h"

enum {
    KEPT_BYTES = 64 * 1024, /* a larger buffer is given back after each use */
    BUFFER = 1,             /* upvalues */
    LIST_META = 2
};

/* Lua owns the buffer, so that nothing is lost when a function that uses it raises. */
static struct buffer *take_buffer(lua_State *l)
{
    struct buffer *b = lua_touserdata(l, lua_upvalueindex(BUFFER));
    if (b->cap > KEPT_BYTES)
        buffer_deinit(b);
    b->len = 0;
    return b;
}

static int free_buffer(lua_State *l)
{
    buffer_deinit(lua_touserdata(l, 1));
    return 0;
}

/* Raises with the caller's place. */
static int encode(lua_State *l)
{
    struct json_write w = {.out = take_buffer(l), .list_meta = 1};
    if (lua_gettop(l) != 1)
        return luaL_error(l, "mw.json.encode: expected one value, got %d", lua_gettop(l));
    lua_pushvalue(l, lua_upvalueindex(LIST_META));
    lua_insert(l, 1);
    int err = json_write(&w, l);
    if (err == ERR_MEMORY)
        return luaL_error(l, "not enough memory");
    if (err) {
        const char *path = w.path + w.path_at;
        path += *path == '.';
        return luaL_error(l, "mw.json.encode: %s %s", *path ? path : "the value", w.why);
    }
    lua_pushlstring(l, (const char *)w.out->data, w.out->len);
    if (w.out->cap > KEPT_BYTES)
        buffer_deinit(w.out);
    return 1;
}

/* nil and "line 2, column 7: …"; columns count bytes. */
static int push_problem(lua_State *l, const struct json_read *r)
{
    int line = 1;
    const char *begin = r->text;
    lua_pushnil(l);
    if (!r->at) {
        lua_pushfstring(l, "this is not JSON: %s", r->why);
        return 2;
    }
    for (const char *p = r->text; p < r->at; p++) {
        if (*p == '\n') {
            line++;
            begin = p + 1;
        }
    }
    lua_pushfstring(l, "this is not JSON: line %d, column %d: %s", line, (int)(r->at - begin) + 1,
                    r->why);
    return 2;
}

static int decode(lua_State *l)
{
    size_t len;
    if (lua_type(l, 1) != LUA_TSTRING)
        return luaL_error(l, "mw.json.decode: expected a string, got %s", luaL_typename(l, 1));
    if (lua_gettop(l) != 1)
        return luaL_error(l, "mw.json.decode: expected one string, got %d values", lua_gettop(l));
    const char *text = lua_tolstring(l, 1, &len);
    lua_pushvalue(l, lua_upvalueindex(LIST_META));
    struct json_read r = {
        .text = text, .end = text + len, .list_meta = 2, .scratch = take_buffer(l)};
    int err = json_read(&r, l);
    if (err == ERR_MEMORY)
        return luaL_error(l, "not enough memory");
    return err ? push_problem(l, &r) : 1;
}

static void push_function(lua_State *l, lua_CFunction function)
{
    lua_pushvalue(l, BUFFER);
    lua_pushvalue(l, LIST_META);
    lua_pushcclosure(l, function, 2);
}

int json_open(lua_State *l)
{
    lua_settop(l, 0);
    struct buffer *b = lua_newuserdata(l, sizeof(*b));
    *b = (struct buffer){0};
    lua_createtable(l, 0, 1);
    lua_pushcfunction(l, free_buffer);
    lua_setfield(l, -2, "__gc");
    lua_setmetatable(l, BUFFER);
    lua_newtable(l);
    lua_createtable(l, 0, 4);
    push_function(l, encode);
    lua_setfield(l, -2, "encode");
    push_function(l, decode);
    lua_setfield(l, -2, "decode");
    lua_pushvalue(l, LIST_META);
    lua_setfield(l, -2, "list_meta");
    lua_pushlightuserdata(l, NULL);
    lua_setfield(l, -2, "null");
    return 1;
}
