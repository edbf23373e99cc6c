/* Whose machine code lies at an address: LuaJIT's interpreter, its functions in C, or another's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Once, before luajit_code_is_c is called. */
void luajit_code_find(void);
/* Is this an address in a function of LuaJIT's that is written in C? False also for the
 * interpreter, for what LuaJIT has compiled, and for all other code. From a signal handler too. */
bool luajit_code_is_c(uintptr_t address);
