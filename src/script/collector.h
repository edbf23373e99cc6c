/* How often LuaJIT's collector begins anew.
 *
 * By its own default a cycle begins when the heap has doubled. What was used last is then far from the
 * caches: of the time that a short message takes, a good part is waiting for memory (bench/NOTES.md,
 * "Messages that differ"). So a small heap is collected when it has grown by a third, which costs less
 * than it saves. Large heaps and long messages are left to LuaJIT's default: there, going through all
 * that is held is what costs. */
#pragma once

#include <lua.h>
#include <stdint.h>

struct collector {
    int pause; /* the one that was set, in percent; 0: none yet; < 0: the app has set its own */
};

/* Before each batch, one of whose events has this many bytes: which one does not matter. What the app
 * has set by collectgarbage("setpause") stays as it is. */
void collector_pace(struct collector *c, lua_State *l, uint32_t bytes);
