/* The script of one worker, from its beginning to its end: a lua_State with the modules that are
 * inside the binary. Only src/script includes lua.h. */
#pragma once

#include "base/log.h"

struct script;
struct worker;

enum { SCRIPT_WHY_BYTES = 512 };

/* Makes a state for the worker, whose loop must exist, since timers are started in it. Returns 0
 * with *out; ERR_MEMORY or ERR_INVALID with one line in why, and *out is as it was. */
int script_new(struct script **out, struct worker *w, const struct log *log,
               char why[SCRIPT_WHY_BYTES]) __attribute__((warn_unused_result));
/* s may be NULL. */
void script_free(struct script *s);
