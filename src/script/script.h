/* What the script of a worker is made of, for the files that run it. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/pool.h"
#include "script/collector.h"
#include "script/heap_limit.h"
#include "script/long_string.h"
#include "script/watchdog.h"

/* What moonwire.start returns, in this order. */
enum script_function {
    GO_ON,
    LOAD,
    PREPARE,
    RESTORE,
    COMMIT,
    ABANDON,
    PENDING,
    DESCRIBE,
    SCRIPT_FUNCTIONS
};

struct worker;
struct reload_facts;

struct script {
    struct worker *worker;
    lua_State *lua;
    struct pool blocks; /* of Lua's memory */
    struct collector collector;
    struct long_string long_string;
    bool starved; /* Lua got no memory, and no garbage was collected since */
    const struct log *log;
    int functions[SCRIPT_FUNCTIONS]; /* in the registry: what moonwire.start returned */
    int with_traceback;    /* in the registry; made once, since making it may run a finaliser */
    lua_State *dispatcher; /* the coroutine that takes events, which Lua keeps alive; or NULL */
    const void *done;      /* the table that it yields when nothing is left to do */
    const struct reload_facts *facts; /* while a commit runs; else NULL */
    struct heap_limit heap_limit;
    struct watched watched;
    bool in_events;          /* the dispatcher has the events of a batch */
    bool reloads;            /* the app's top level runs once more */
    uint32_t reload_seconds; /* while it does: the limit of that name */
};

/* The text of the error on top of the stack, valid while it is there. */
const char *script_error(lua_State *l);
/* Collects all garbage if Lua got no memory since this was last called: LuaJIT does not do that
 * itself, and what has used the memory up is most likely garbage now. */
void script_relieve(struct script *s);

/* Begins to watch for Lua that does not return; protected, in the lua_State that begins. */
void script_watch(struct script *s);
/* Another site serves: its limits count from now on. */
void script_watch_site(struct script *s);
/* Idempotent. */
void script_watch_end(struct script *s);

/* Before and after the string of a message that lies in a block of its own is made (struct event).
 * The string may take that block, so data is valid between the two only. */
void script_string_begin(void *script, const char *data, size_t len);
void script_string_end(void *script);
