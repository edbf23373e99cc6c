/* LuaJIT's compiler to bytecode, in a state of its own that is thrown away. */
#include "script/compile.h"

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdio.h>

#include "base/error.h"

static int append(lua_State *l, const void *data, size_t len, void *code)
{
    (void)l;
    return buffer_append(code, data, len);
}

static int dump(lua_State *l, const struct buffer *text, const char *chunk, struct buffer *code,
                struct buffer *problem)
{
    const char *data = text->len > 0 ? (const char *)text->data : "";
    int status = luaL_loadbuffer(l, data, text->len, chunk);
    if (status == 0)
        return lua_dump(l, append, code) == 0 ? 0 : ERR_MEMORY;
    size_t why_len;
    const char *why = lua_tolstring(l, -1, &why_len);
    return status == LUA_ERRSYNTAX && why ? buffer_append(problem, why, why_len) : ERR_MEMORY;
}

int script_compile(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem)
{
    char chunk[PATH_MAX + 1];
    if (snprintf(chunk, sizeof(chunk), "@%s", path) >= (int)sizeof(chunk))
        return ERR_TOO_BIG;
    lua_State *l = luaL_newstate();
    if (!l)
        return ERR_MEMORY;
    int err = dump(l, text, chunk, code, problem);
    lua_close(l);
    return err;
}
