/* The lua_State of a worker: its memory, its modules, its beginning and its end. */
#include "script/state.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/reload/sources.h"
#include "engine/worker/worker.h"
#include "script/embedded.h"
#include "script/json.h"
#include "script/luajit_layout.h"
#include "script/script.h"
#include "script/stack_guard.h"

/* Lua's memory comes from the C library, since LuaJIT's own allocator maps and unmaps every large
 * string: a page fault for each 4 KiB of each message. Small blocks, which nearly all are, come
 * from a pool. */
static void *allocate(void *script, void *block, size_t old_size, size_t size)
{
    struct script *s = script;
    void *to = long_string_take(&s->long_string, block, size);
    if (heap_limit_is_due(&s->heap_limit, s->lua, size))
        watched_interrupt(&s->watched);
    bool refused = size >= HEAP_LIMIT_CHECK_BYTES && size > old_size &&
                   !heap_limit_admits(&s->heap_limit, s->lua, size - old_size);
    if (!to && !refused)
        to = pool_realloc(&s->blocks, block, old_size, size);
    if (to || size == 0)
        collector_note(&s->collector, block ? old_size : 0, size);
    if (!to && size > 0) {
        s->starved = true;
        luajit_layout_no_memory(s->lua);
    }
    return to;
}

/* The loader in package.preload for all modules inside the binary. It gives each the globals that
 * are ours alone (lua/moonwire/base/library.lua). */
static int load_embedded(lua_State *l)
{
    const char *name = luaL_checkstring(l, 1);
    const struct embedded_module *m = embedded_modules;
    while (m->name && strcmp(m->name, name) != 0)
        m++;
    if (!m->name)
        return luaL_error(l, "there is no module %s inside moonwire", name);
    char chunk[128];
    (void)snprintf(chunk, sizeof(chunk), "=%s", m->name);
    if (luaL_loadbuffer(l, (const char *)m->code, m->len, chunk) != 0)
        return lua_error(l);
    lua_pushvalue(l, lua_upvalueindex(1));
    (void)lua_setfenv(l, -2);
    lua_pushvalue(l, 1);
    lua_call(l, 1, 1);
    return 1;
}

/* Pushes the globals of our modules: until library.lua has filled them, those of the state. */
static void push_own_globals(lua_State *l)
{
    lua_newtable(l);
    lua_createtable(l, 0, 1);
    lua_pushvalue(l, LUA_GLOBALSINDEX);
    lua_setfield(l, -2, "__index");
    lua_setmetatable(l, -2);
}

/* require looks into package.preload before it looks for files, so that no module on the disk can
 * take the place of ours. */
static void preload_embedded(lua_State *l)
{
    lua_getglobal(l, "package");
    lua_getfield(l, -1, "preload");
    push_own_globals(l);
    lua_pushcclosure(l, load_embedded, 1);
    for (const struct embedded_module *m = embedded_modules; m->name; m++) {
        lua_pushvalue(l, -1);
        lua_setfield(l, -3, m->name);
    }
    lua_pop(l, 3);
}

static int with_traceback(lua_State *l)
{
    if (lua_tostring(l, 1))
        luaL_traceback(l, l, lua_tostring(l, 1), 1);
    return 1;
}

/* native.load_ahead(path), for a file that was read and compiled ahead for this reload. Returns its
 * digest and its function; or the digest, nil and what is wrong with the file; or nothing: the file
 * was not read ahead, or has changed since. */
static int load_ahead(lua_State *l)
{
    const struct worker *w = lua_touserdata(l, lua_upvalueindex(1));
    const char *path = luaL_checkstring(l, 1);
    const struct source *source = w->sources ? sources_find(w->sources, path) : NULL;
    if (!source || !file_is(path, &source->state))
        return 0;
    lua_pushstring(l, source->digest);
    const struct buffer *code = &source->code, *problem = &source->problem;
    if (code->len > 0 && luaL_loadbuffer(l, (const char *)code->data, code->len, path) == 0)
        return 2;
    if (code->len == 0)
        lua_pushlstring(l, (const char *)problem->data, problem->len);
    lua_pushnil(l);
    lua_insert(l, -2);
    return 3;
}

/* Called protected, with the worker as its argument. Returns the functions that moonwire.start
 * gives, in the order of enum function, and the table that a dispatcher yields when it is done. */
static int start(lua_State *l)
{
    struct script *s;
    (void)lua_getallocf(l, (void **)&s);
    long_string_try(&s->long_string, l);
    lua_pushcfunction(l, with_traceback);
    s->with_traceback = luaL_ref(l, LUA_REGISTRYINDEX);
    luaL_openlibs(l);
    script_watch(s);
    preload_embedded(l);
    lua_getglobal(l, "require");
    lua_pushliteral(l, "moonwire.start");
    lua_call(l, 1, 1);
    lua_pushvalue(l, 1);
    lua_pushvalue(l, 1);
    lua_pushcclosure(l, load_ahead, 1);
    lua_pushcfunction(l, json_open);
    lua_pushcfunction(l, stack_guard_is_low);
    lua_pushcfunction(l, stack_guard_is_nested);
    lua_pushcfunction(l, watchdog_lend_profiler);
    lua_call(l, 6, SCRIPT_FUNCTIONS + 1);
    return SCRIPT_FUNCTIONS + 1;
}

int script_new(struct script **out, struct worker *w, const struct log *log,
               char why[SCRIPT_WHY_BYTES])
{
    (void)luajit_layout(); /* before the allocator needs it */
    struct script *s = calloc(1, sizeof(*s));
    lua_State *l = s ? lua_newstate(allocate, s) : NULL;
    if (!l) {
        if (s)
            pool_deinit(&s->blocks);
        free(s);
        (void)snprintf(why, SCRIPT_WHY_BYTES, "out of memory");
        return ERR_MEMORY;
    }
    s->worker = w;
    s->lua = l;
    s->log = log;
    lua_pushcfunction(l, with_traceback);
    lua_pushcfunction(l, start);
    lua_pushlightuserdata(l, w);
    if (lua_pcall(l, 1, SCRIPT_FUNCTIONS + 1, 1) != 0) {
        (void)snprintf(why, SCRIPT_WHY_BYTES, "the Lua side does not start: %s", script_error(l));
        script_free(s);
        return ERR_INVALID;
    }
    s->done = lua_topointer(l, -1);
    (void)luaL_ref(l, LUA_REGISTRYINDEX);
    for (int i = SCRIPT_FUNCTIONS - 1; i >= 0; i--)
        s->functions[i] = luaL_ref(l, LUA_REGISTRYINDEX);
    lua_settop(l, 0);
    *out = s;
    return 0;
}

void script_free(struct script *s)
{
    if (!s)
        return;
    script_watch_end(s);
    lua_close(s->lua);
    long_string_deinit(&s->long_string);
    pool_deinit(&s->blocks);
    free(s);
}
