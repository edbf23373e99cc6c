/* LuaJIT's profiler belongs to one state of the process at a time. A state of ours has it, without
 * ever taking a sample, since two things need an owner: what makes machine code leave for the
 * interpreter (watch.h) calls the owner's callback now and then; and the compiler writes the checks
 * for that only for a state that has asked to be profiled. */
#pragma once

#include <lua.h>
#include <stdbool.h>

/* Takes the profiler for the process. Once, before other threads run Lua. */
void luajit_profiler_own(void);

/* An app may profile itself meanwhile: `lent` is true while it does. The caller sees to it that no
 * machine code is asked to leave then. */
void luajit_profiler_lend(bool lent);

/* Has the compiler of this state write the checks of a mode, "l" or "f". False: we do not have the
 * profiler. */
bool luajit_profiler_set_mode(lua_State *l, const char *mode) __attribute__((warn_unused_result));
