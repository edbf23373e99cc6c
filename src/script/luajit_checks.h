/* Machine code that can be made to leave for the interpreter, wherever it is. */
#pragma once

#include <lua.h>

/* Lets the compiler write one check into each trace of the state whose first lua_State is l: at its
 * head, and so in its loop. Two instructions. luajit_layout()->hooks_known must be true. Called
 * protected: raises for want of memory. */
void luajit_checks_write(lua_State *l);
