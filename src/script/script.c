/* What the files that run a script share. */
#include "script/script.h"

#include "engine/ground/memory.h"
#include "engine/ground/site.h"
#include "engine/worker/worker.h"

enum {
    COLLECT_ATTEMPTS = 100, /* each ends where a finaliser raises */
    DEFAULT_PART = 4        /* of the machine's memory, for the Lua of all workers */
};

const char *script_error(lua_State *l)
{
    const char *text = lua_tostring(l, -1);
    return text ? text : "an error that is not a text";
}

static int collect(lua_State *l)
{
    lua_gc(l, LUA_GCCOLLECT, 0);
    return 0;
}

void script_relieve(struct script *s)
{
    if (!s->starved)
        return;
    s->starved = false;
    for (int i = 0; i < COLLECT_ATTEMPTS && lua_cpcall(s->lua, collect, NULL) != 0; i++)
        lua_pop(s->lua, 1);
}

/* ---- Lua that does not return ---------------------------------------------------------------- */

static uint32_t hook_ms(const struct limits *l)
{
    return l->hook_ms ? l->hook_ms : WATCHED_NEVER;
}

/* Of the hook for the event that is handled. */
static uint32_t event_ms(const struct script *s)
{
    const struct event_batch *batch = &s->worker->given;
    const struct site *site = s->worker->site;
    const struct event *e = batch->at > 0 ? &batch->events[batch->at - 1] : NULL;
    bool has_route = e && e->kind != EVENT_TIMER && e->kind != EVENT_INPUT && e->route >= 0 &&
                     (size_t)e->route < site->route_count;
    return hook_ms(has_route ? &site->routes[e->route].limits : &site->limits);
}

static uint32_t reload_ms(const struct script *s)
{
    uint64_t ms = (uint64_t)s->reload_seconds * 1000;
    return ms < WATCHED_NEVER ? (uint32_t)ms : WATCHED_NEVER;
}

/* For struct watched. */
static uint32_t allowed_ms(const void *script)
{
    const struct script *s = script;
    const struct event_batch *batch = &s->worker->given;
    if (s->in_events)
        return event_ms(s);
    uint32_t ms = batch->hook_ms ? batch->hook_ms : hook_ms(&s->worker->site->limits);
    return s->reloads && reload_ms(s) < ms ? reload_ms(s) : ms;
}

static bool interrupted(lua_State *l, void *script)
{
    struct script *s = script;
    return heap_limit_collect(&s->heap_limit, l);
}

static void push_reason(lua_State *l, const void *script, uint32_t allowed)
{
    const struct script *s = script;
    if (allowed == 0)
        lua_pushliteral(l, "memory limit: this worker's Lua holds more than limits.lua_bytes");
    else if (s->reloads && allowed == reload_ms(s))
        lua_pushfstring(l, "the top level had not ended after %d seconds (limits.reload_seconds)",
                        (int)s->reload_seconds);
    else
        lua_pushfstring(l, "stopped after %d ms (limits.hook_ms)", (int)allowed);
}

void script_watch(struct script *s)
{
    s->watched = (struct watched){
        .lua = s->lua,
        .batch = &s->worker->given,
        .log = s->log,
        .worker = s->worker->index,
        .allowed_ms = allowed_ms,
        .push_reason = push_reason,
        .interrupted = interrupted,
        .context = s,
        .least_ms = WATCHDOG_LOOK_MS,
    };
    watchdog_add(&s->watched);
}

void script_watch_end(struct script *s)
{
    watchdog_remove(&s->watched);
}

static size_t lua_bytes(const struct script *s)
{
    const struct worker *w = s->worker;
    uint64_t asked = w->site->limits.lua_bytes;
    return asked ? asked : w->budget->machine / DEFAULT_PART / w->mailboxes->count;
}

void script_watch_site(struct script *s)
{
    const struct site *site = s->worker->site;
    uint32_t least = hook_ms(&site->limits);
    for (size_t i = 0; i < site->route_count; i++) {
        uint32_t of_route = hook_ms(&site->routes[i].limits);
        least = of_route < least ? of_route : least;
    }
    atomic_store_explicit(&s->watched.least_ms, least, memory_order_relaxed);
    heap_limit_set(&s->heap_limit, lua_bytes(s));
}

/* ---- strings --------------------------------------------------------------------------------- */

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
