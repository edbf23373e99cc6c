/* The thread that looks whether Lua returns, in all scripts of the process (watched.h). */
#pragma once

#include "script/watched.h"

enum { WATCHDOG_LOOK_MS = 125 /* between two looks, while nothing stands still for long */ };

/* Watches from now on; the fields down to context must be set, and least_ms. What keeps that from
 * working, with this LuaJIT or on this system, is told in the log once, and nothing is stopped
 * then. Called protected: raises for want of memory. */
void watchdog_add(struct watched *w);
/* Idempotent. */
void watchdog_remove(struct watched *w);

/* A Lua function: lend_profiler(true) before the app profiles itself, lend_profiler(false) after
 * that. While any does, nothing is stopped. */
int watchdog_lend_profiler(lua_State *l) __attribute__((warn_unused_result));
