/* The Lua modules inside the binary; tools/embed.lua writes the table at build time. */
#pragma once

#include <stddef.h>

struct embedded_module {
    const char *name;          /* as require() is given it; NULL ends the table */
    const unsigned char *code; /* LuaJIT bytecode, with debug information; for luaL_loadbuffer */
    size_t len;
};

/* Holds every file of lua/, and "moonwire.cdef", which returns the C declarations for ffi.cdef. */
extern const struct embedded_module embedded_modules[];
