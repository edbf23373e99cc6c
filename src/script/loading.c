/* Loads the app into the lua_State of a worker, at the start and for reloads. */
#include "script/loading.h"

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/run/handover.h"
#include "script/script.h"

struct loading {
    struct script *script;
    enum script_function function; /* LOAD, PREPARE or RESTORE */
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
        (void)snprintf(load->why, load->why_len, "%s", script_error(l));
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
        (void)snprintf(load->why, load->why_len, "%s", script_error(l));
    lua_settop(l, 0);
    script_relieve(load->script);
    return status != 0 || load->failed ? ERR_INVALID : 0;
}

int script_load(struct script *s, const struct script_source *source, struct site *site, char *why,
                size_t why_len)
{
    struct loading load = {s, LOAD, source, site, why, why_len, false};
    return call_protected(&load, load_app);
}

/* ---- reloads --------------------------------------------------------------------------------- */

static void call(struct script *s, enum script_function which, const char *what)
{
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[which]);
    if (lua_pcall(l, 0, 0, 1) != 0)
        log_write(s->log, LOG_ERROR, "%s failed: %s", what, script_error(l));
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
            log_write(s->log, LOG_ERROR, "collecting garbage failed: %s", script_error(s->lua));
        lua_settop(s->lua, 0);
    }
    return s->collector.owed_kib > 0;
}
