/* mw.json for Lua, as lua/moonwire/base/json.lua opens it. */
#pragma once

#include <lua.h>

/* Takes nothing and returns a table to Lua: encode(value) gives the text, and raises at its caller
 * for what JSON does not have; decode(text) gives the value, or nil and a text that says where it
 * is not JSON; both raise for other arguments; null is what null becomes, list_meta the metatable
 * of lists. */
int json_open(lua_State *l) __attribute__((warn_unused_result));
