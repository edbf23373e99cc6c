/* The lua_State of a worker: it begins, loads the app at the start and for reloads, and takes
 * events. */
#include "script/state.h"

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/pool.h"
#include "engine/ground/site.h"
#include "engine/reload/sources.h"
#include "engine/run/handover.h"
#include "engine/worker/worker.h"
#include "script/collector.h"
#include "script/embedded.h"
#include "script/long_string.h"

enum function { GO_ON, LOAD, PREPARE, RESTORE, COMMIT, ABANDON, PENDING, DESCRIBE, FUNCTIONS };

struct script {
    struct worker *worker;
    lua_State *lua;
    struct pool blocks; /* of Lua's memory */
    struct collector collector;
    struct long_string long_string;
    const struct log *log;
    int functions[FUNCTIONS]; /* in the registry: what moonwire.start returned */
    int with_traceback;       /* in the registry; made once, since making it may run a finaliser */
    lua_State *dispatcher;    /* the coroutine that takes events, which Lua keeps alive; or NULL */
    const void *done;         /* the table that it yields when nothing is left to do */
    const struct reload_facts *facts; /* while a commit runs; else NULL */
    uint64_t end_ms;                  /* when the code that script_prepare loads must have ended */
    bool ended;                       /* it had not ended in time and was stopped, */
    char where[128];                  /* at this place: "app.lua:3: " */
};

/* Lua's memory comes from the C library, since LuaJIT's own allocator maps and unmaps every large
 * string: a page fault for each 4 KiB of each message. Small blocks, which nearly all are, come
 * from a pool. */
static void *allocate(void *script, void *block, size_t old_size, size_t size)
{
    struct script *s = script;
    void *to = long_string_take(&s->long_string, block, size);
    if (!to)
        to = pool_realloc(&s->blocks, block, old_size, size);
    if (to || size == 0)
        collector_note(&s->collector, block ? old_size : 0, size);
    return to;
}

/* The loader in package.preload for all modules inside the binary. It gives each the worker's
 * globals, for the coroutine that requires a module first may have globals of its own. */
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

/* require looks into package.preload before it looks for files, so that no module on the disk can
 * take the place of ours. */
static void preload_embedded(lua_State *l)
{
    lua_getglobal(l, "package");
    lua_getfield(l, -1, "preload");
    lua_pushvalue(l, LUA_GLOBALSINDEX);
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
    preload_embedded(l);
    lua_getglobal(l, "require");
    lua_pushliteral(l, "moonwire.start");
    lua_call(l, 1, 1);
    lua_pushvalue(l, 1);
    lua_pushvalue(l, 1);
    lua_pushcclosure(l, load_ahead, 1);
    lua_call(l, 2, FUNCTIONS + 1);
    return FUNCTIONS + 1;
}

static const char *error_of(lua_State *l)
{
    const char *text = lua_tostring(l, -1);
    return text ? text : "an error that is not a text";
}

int script_new(struct script **out, struct worker *w, const struct log *log,
               char why[SCRIPT_WHY_BYTES])
{
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
    if (lua_pcall(l, 1, FUNCTIONS + 1, 1) != 0) {
        (void)snprintf(why, SCRIPT_WHY_BYTES, "the Lua side does not start: %s", error_of(l));
        script_free(s);
        return ERR_INVALID;
    }
    s->done = lua_topointer(l, -1);
    (void)luaL_ref(l, LUA_REGISTRYINDEX);
    for (int i = FUNCTIONS - 1; i >= 0; i--)
        s->functions[i] = luaL_ref(l, LUA_REGISTRYINDEX);
    lua_settop(l, 0);
    *out = s;
    return 0;
}

/* ---- loading the app ------------------------------------------------------------------------- */

struct loading {
    struct script *script;
    enum function function; /* LOAD, PREPARE or RESTORE */
    const struct script_source *source;
    struct site *site;
    char *why;
    size_t why_len;
    bool failed; /* the function has returned what is wrong */
};

/* Calls the function that lies below this many arguments. It returns nil, or a text that says what
 * is wrong. */
static void call_to_load(struct loading *load, lua_State *l, int args)
{
    lua_call(l, args, 1);
    load->failed = !lua_isnil(l, -1);
    if (load->failed)
        (void)snprintf(load->why, load->why_len, "%s", error_of(l));
}

/* Called protected, since there may be no memory for the arguments. */
static int load_app(lua_State *l)
{
    struct loading *load = lua_touserdata(l, 1);
    const struct script_source *source = load->source;
    lua_rawgeti(l, LUA_REGISTRYINDEX, load->script->functions[load->function]);
    lua_pushstring(l, source->path);
    lua_createtable(l, source->argc, 1);
    for (int i = 0; i < source->argc; i++) {
        lua_pushstring(l, source->argv[i]);
        lua_rawseti(l, -2, i + 1);
    }
    lua_pushlightuserdata(l, load->site);
    lua_pushstring(l, source->code); /* nil for NULL */
    call_to_load(load, l, 4);
    return 0;
}

static int call_protected(struct loading *load, lua_CFunction function)
{
    lua_State *l = load->script->lua;
    int status = lua_cpcall(l, function, load);
    if (status != 0)
        (void)snprintf(load->why, load->why_len, "%s", error_of(l));
    lua_settop(l, 0);
    return status != 0 || load->failed ? ERR_INVALID : 0;
}

int script_load(struct script *s, const struct script_source *source, struct site *site, char *why,
                size_t why_len)
{
    struct loading load = {s, LOAD, source, site, why, why_len, false};
    return call_protected(&load, load_app);
}

/* ---- reloads --------------------------------------------------------------------------------- */

static void call(struct script *s, enum function which, const char *what)
{
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[which]);
    if (lua_pcall(l, 0, 0, 1) != 0)
        log_write(s->log, LOG_ERROR, "%s failed: %s", what, error_of(l));
    lua_settop(l, 0);
}

enum { LOOK_EVERY = 10000 }; /* instructions */

/* Once the time is over, every instruction raises an error, so that the app's code ends even if it
 * calls pcall. */
static void look_at_time(lua_State *l, lua_Debug *at)
{
    void *script;
    (void)at;
    (void)lua_getallocf(l, &script);
    struct script *s = script;
    if (!s->ended && clock_monotonic_ms() < s->end_ms)
        return;
    if (!s->ended) {
        luaL_where(l, 0);
        (void)snprintf(s->where, sizeof(s->where), "%s", lua_tostring(l, -1));
        s->ended = true;
        lua_sethook(l, look_at_time, LUA_MASKCOUNT, 1);
    }
    lua_pushliteral(l, "the time for loading the app is over");
    lua_error(l);
}

/* Machine code does not call debug hooks, so LuaJIT's compiler is off while the app is loaded. */
int script_prepare(struct script *s, const struct script_source *source, struct site *site,
                   uint32_t seconds, char *why, size_t why_len)
{
    lua_State *l = s->lua;
    struct loading load = {s, PREPARE, source, site, why, why_len, false};
    s->ended = false;
    s->end_ms = clock_monotonic_ms() + (uint64_t)seconds * 1000;
    luaJIT_setmode(l, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_sethook(l, look_at_time, LUA_MASKCOUNT, LOOK_EVERY);
    collector_defer(&s->collector, l);
    int err = call_protected(&load, load_app);
    collector_resume(&s->collector, l);
    lua_sethook(l, NULL, 0, 0);
    luaJIT_setmode(l, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    if (s->ended) {
        (void)snprintf(why, why_len,
                       "%sthe top level had not ended after %u seconds (limits.reload_seconds)",
                       s->where, seconds);
        err = ERR_LIMIT;
    }
    if (err) /* abandoned at once, since the hooks of the app that serves go on */
        script_abandon(s);
    return err;
}

static int restore_app(lua_State *l)
{
    struct loading *load = lua_touserdata(l, 1);
    lua_rawgeti(l, LUA_REGISTRYINDEX, load->script->functions[load->function]);
    lua_pushlightuserdata(l, load->site);
    call_to_load(load, l, 1);
    return 0;
}

int script_restore(struct script *s, struct site *site, char *why, size_t why_len)
{
    struct loading load = {s, RESTORE, NULL, site, why, why_len, false};
    int err = call_protected(&load, restore_app);
    if (err)
        script_abandon(s);
    return err;
}

void script_commit(void *script, const struct reload_facts *facts)
{
    struct script *s = script;
    s->facts = facts;
    call(script, COMMIT, "the commit");
    s->facts = NULL;
}

const struct reload_facts *script_facts(const void *script)
{
    return ((const struct script *)script)->facts;
}

void script_abandon(void *script)
{
    call(script, ABANDON, "abandoning a generation");
}

/* Called protected. */
static int pay_slice(lua_State *l)
{
    struct script *s = lua_touserdata(l, 1);
    while (collector_pay(&s->collector, l) && !handover_slice_over(s->worker))
        ;
    return 0;
}

/* The most finalisers that may raise an error in one slice. Each has run when it raises. The next
 * ones are due as well: if they did not run here, they would run where Lua asks for memory next,
 * which is in some hook. */
enum { FINALISERS_MAX = 1000 };

bool script_tidy(void *script)
{
    struct script *s = script;
    int status = LUA_ERRRUN;
    for (int i = 0; i < FINALISERS_MAX && status != 0; i++) {
        status = lua_cpcall(s->lua, pay_slice, s);
        if (status != 0)
            log_write(s->log, LOG_ERROR, "collecting garbage failed: %s", error_of(s->lua));
        lua_settop(s->lua, 0);
    }
    return s->collector.owed_kib > 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Resumes the dispatcher. C does this, since LuaJIT does not compile coroutine.resume. Returns true
 * when the batch is done and nothing else is left to do. */
static bool took_all(struct script *s, int *status)
{
    lua_State *co = s->dispatcher;
    *status = lua_resume(co, 0);
    if (*status != LUA_YIELD || lua_topointer(co, -1) != s->done)
        return false;
    lua_settop(co, 0);
    return true;
}

/* Hands what the dispatcher has yielded or raised to Lua, if there is a dispatcher, and leaves in
 * s->dispatcher the one that takes events from now on. Returns true when events of this batch are
 * left for it. */
static bool go_on(struct script *s, int status)
{
    lua_State *l = s->lua;
    lua_State *co = s->dispatcher;
    int args = 0;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[GO_ON]);
    if (co) {
        args = 2;
        lua_pushboolean(l, status == LUA_YIELD);
        if (lua_gettop(co) == 0) /* it has yielded no value */
            lua_pushnil(co);
        lua_xmove(co, l, 1);
    }
    s->dispatcher = NULL; /* stays so if the call fails */
    if (lua_pcall(l, args, 2, 1) != 0)
        log_write(s->log, LOG_ERROR, "the dispatcher failed: %s", error_of(l));
    else
        s->dispatcher = lua_tothread(l, -2);
    bool more = s->dispatcher && lua_toboolean(l, -1);
    lua_settop(l, 0);
    return more;
}

void script_dispatch(void *script)
{
    struct script *s = script;
    int status = 0;
    if (collector_pace(&s->collector, s->lua, s->worker->given.events[0].len) != 0) {
        log_write(s->log, LOG_ERROR, "a finaliser failed: %s", error_of(s->lua));
        lua_pop(s->lua, 1);
    }
    bool more = s->dispatcher || go_on(s, status);
    while (more && !took_all(s, &status))
        more = go_on(s, status);
}

void script_string_begin(void *script, const char *data, size_t len)
{
    struct script *s = script;
    uint8_t *block = (uint8_t *)(uintptr_t)data - MESSAGE_HEAD_ROOM;
    if (s->long_string.works && batch_release(&s->worker->running, block))
        long_string_offer(&s->long_string, block, len);
}

void script_string_end(void *script)
{
    struct script *s = script;
    long_string_settle(&s->long_string);
}

uint32_t script_pending(void *script)
{
    struct script *s = script;
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[PENDING]);
    uint32_t waiting = 0;
    if (lua_pcall(l, 0, 1, 1) != 0)
        log_write(s->log, LOG_ERROR, "what waits is not known: %s", error_of(l));
    else
        waiting = (uint32_t)lua_tointeger(l, -1);
    lua_settop(l, 0);
    return waiting;
}

int script_describe(void *script, struct buffer *out)
{
    struct script *s = script;
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[DESCRIBE]);
    int err = lua_pcall(l, 0, 1, 1) ? ERR_INVALID : 0;
    if (err) {
        log_write(s->log, LOG_ERROR, "the generations are not known: %s", error_of(l));
    } else {
        size_t len;
        const char *text = lua_tolstring(l, -1, &len);
        err = buffer_append(out, text, len);
    }
    lua_settop(l, 0);
    return err;
}

void script_free(struct script *s)
{
    if (!s)
        return;
    lua_close(s->lua);
    long_string_deinit(&s->long_string);
    pool_deinit(&s->blocks);
    free(s);
}
