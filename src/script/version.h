/* The version of LuaJIT that runs the scripts. */
#pragma once

enum { SCRIPT_VERSION_BYTES = 64 };

/* Writes the version of the library in use, "LuaJIT 2.1.0-beta3", or only "LuaJIT" when it does not
 * say. Returns out. */
const char *script_version(char out[SCRIPT_VERSION_BYTES]);
