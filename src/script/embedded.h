/* The Lua modules inside the binary; tools/embed.lua writes the table at build time. */
#pragma once

#include <stddef.h>

struct embedded_module {
    const char *name;          /* as require() is given it; NULL ends the table */
    const unsigned char *code; /* LuaJIT bytecode, with debug information; for luaL_loadbuffer */
    size_t len;
};

/* Holds every file of lua/, and "moonwire.cdef.api" and the like, which return the C declarations of
 * src/script/api.h and the like for ffi.cdef. */
extern const struct embedded_module embedded_modules[];
