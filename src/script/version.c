/* Asks LuaJIT for its version. */
#include "script/version.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

/* Only Lua code can ask for the version that runs: luajit.h has the one that we were compiled
 * with. */
const char *script_version(char out[SCRIPT_VERSION_BYTES])
{
    snprintf(out, SCRIPT_VERSION_BYTES, "LuaJIT");
    lua_State *l = luaL_newstate();
    if (!l)
        return out;
    luaL_openlibs(l);
    if (luaL_dostring(l, "return jit.version") == 0 && lua_type(l, -1) == LUA_TSTRING)
        snprintf(out, SCRIPT_VERSION_BYTES, "%s", lua_tostring(l, -1));
    lua_close(l);
    return out;
}
