#include "script/version.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

/* LuaJIT tells it to Lua only: luajit.h has what it was compiled with. */
const char *script_version(char out[SCRIPT_VERSION_BYTES])
{
    snprintf(out, SCRIPT_VERSION_BYTES, "LuaJIT");
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return out;
    luaL_openlibs(L);
    if (luaL_dostring(L, "return jit.version") == 0 && lua_type(L, -1) == LUA_TSTRING)
        snprintf(out, SCRIPT_VERSION_BYTES, "%s", lua_tostring(L, -1));
    lua_close(L);
    return out;
}
