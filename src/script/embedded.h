/* The Lua modules inside the binary; tools/embed.lua writes the table at build time. */
#pragma once

#include <stddef.h>

struct embedded_module {
    const char *name;          /* for require; NULL ends the table */
    const unsigned char *code; /* LuaJIT's bytecode with debug information, for luaL_loadbuffer */
    size_t len;
};

/* Has a module for every file of lua/, and four that return C declarations for ffi.cdef:
 * "moonwire.cdef.api" those of src/script/api.h, and moonwire.cdef.api_client, .api_control and
 * .api_options. */
extern const struct embedded_module embedded_modules[];
