/* Loads the app into the lua_State of a worker, at the start and for reloads. */
#include "script/loading.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#include "base/error.h"
#include "engine/run/handover.h"
#include "engine/worker/worker.h"
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
    watched_enter(&load->script->watched);
    int status = lua_cpcall(l, function, load);
    watched_leave(&load->script->watched);
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
    /* What declares a listener or a route is no script any more (reload/generation.lua). */
    __atomic_store_n(&s->worker->given.hook_ms, source->listens ? 0 : WATCHED_NEVER,
                     __ATOMIC_RELAXED);
    int err = call_protected(&load, load_app);
    __atomic_store_n(&s->worker->given.hook_ms, 0, __ATOMIC_RELAXED);
    return err;
}

/* ---- reloads --------------------------------------------------------------------------------- */

static void call(struct script *s, enum script_function which, const char *what)
{
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[which]);
    watched_enter(&s->watched);
    if (lua_pcall(l, 0, 0, 1) != 0)
        log_write(s->log, LOG_ERROR, "%s failed: %s", what, script_error(l));
    watched_leave(&s->watched);
    lua_settop(l, 0);
}

int script_prepare(struct script *s, const struct script_source *source, struct site *site,
                   char *why, size_t why_len)
{
    struct loading load = {s, PREPARE, source, site, why, why_len, false};
    s->reload_seconds = s->worker->site->limits.reload_seconds;
    s->reloads = true;
    collector_defer(&s->collector, s->lua);
    int err = call_protected(&load, load_app);
    collector_resume(&s->collector, s->lua);
    s->reloads = false;
    __atomic_store_n(&s->worker->given.hook_ms, 0, __ATOMIC_RELAXED);
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
    script_watch_site(s);
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
        watched_enter(&s->watched);
        status = lua_cpcall(s->lua, pay_slice, s);
        watched_leave(&s->watched);
        if (status != 0)
            log_write(s->log, LOG_ERROR, "collecting garbage failed: %s", script_error(s->lua));
        lua_settop(s->lua, 0);
    }
    return s->collector.owed_kib > 0;
}
