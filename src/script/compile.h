/* From an app's text to LuaJIT's bytecode, apart from any worker's state. The library that makes it is the one
 * that loads it, and it keeps all that it would know of the text: lines, names, the file. */
#pragma once

#include "base/buffer.h"

/* As engine/reload/sources.h wants it; from any thread. An
 * error: there is no memory for it; whoever needs the code compiles it there. */
int script_compile(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem) __attribute__((warn_unused_result));
