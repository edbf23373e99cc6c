/* Which LuaJIT runs the scripts. */
#pragma once

enum { SCRIPT_VERSION_BYTES = 64 };

/* As it was linked at run time: "LuaJIT 2.1.0-beta3". Returns out. */
const char *script_version(char out[SCRIPT_VERSION_BYTES]);
