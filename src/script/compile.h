/* Compiles an app's text to LuaJIT's bytecode, apart from any worker's state. The same library
 * loads it, and it keeps all debug information: lines, names, the file. */
#pragma once

#include "base/buffer.h"

/* Compiles the text of the file at path, from any thread. Returns 0, and either code has the
 * bytecode or problem says what is wrong with the text (both are appended to). ERR_MEMORY, or
 * ERR_TOO_BIG: the path is too long; code and problem are not to be used then. */
int script_compile(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem) __attribute__((warn_unused_result));
