/* Takes batches of events to Lua, and answers the questions about what the script holds. */
#include "script/events.h"

#include <lua.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/worker/worker.h"
#include "protocol/close_code.h"
#include "script/api.h"
#include "script/script.h"

/* How often it is tried to go on before the events of a batch are given up: there is no memory, and
 * no garbage that could be collected. */
enum { ATTEMPTS = 3 };

/* Resumes the dispatcher. C does this, since LuaJIT does not compile coroutine.resume. Returns true
 * when the batch is done and nothing else is left to do. */
static bool took_all(struct script *s, int *status)
{
    lua_State *co = s->dispatcher;
    s->in_events = true;
    *status = lua_resume(co, 0);
    s->in_events = false;
    if (*status != LUA_YIELD || lua_topointer(co, -1) != s->done)
        return false;
    lua_settop(co, 0);
    return true;
}

/* Pushes go_on and what the dispatcher co has yielded or raised, if there is one. Returns the
 * number of arguments. */
static int push_outcome(struct script *s, lua_State *co, int status)
{
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[GO_ON]);
    if (!co)
        return 0;
    lua_pushboolean(l, status == LUA_YIELD);
    if (lua_gettop(co) == 0) /* it has yielded no value */
        lua_pushnil(co);
    lua_xmove(co, l, 1);
    return 2;
}

/* An error of ours, or want of memory, has kept an event from the app: nobody waits for an answer
 * that cannot come. */
static void lose(struct worker *w, const struct event *e)
{
    enum { INTERNAL_ERROR = 500 };
    static const char text[] = "internal error\n";
    if (e->kind <= EVENT_RELOAD)
        (void)mw_close(w, e->conn, CLOSE_INTERNAL_ERROR, "", 0);
    else if (e->kind == EVENT_UPGRADE || e->kind == EVENT_REQUEST)
        (void)mw_respond(w, e->conn, e->serial, INTERNAL_ERROR, "", 0, text, sizeof(text) - 1);
}

static void lose_batch(struct worker *w)
{
    struct event_batch *batch = &w->given;
    log_write(w->log, LOG_ERROR, "%d events are lost, and their connections end",
              batch->count - batch->at);
    for (int32_t at = batch->at; at < batch->count; at++) {
        lose(w, &batch->events[at]);
        __atomic_store_n(&batch->at, at + 1, __ATOMIC_RELAXED);
    }
}

/* Hands what the dispatcher has yielded or raised to Lua, if there is a dispatcher, and leaves in
 * s->dispatcher the one that takes events from now on. Returns true when events of this batch are
 * left for it. */
static bool go_on(struct script *s, int status)
{
    lua_State *l = s->lua, *co = s->dispatcher;
    bool more = false;
    s->dispatcher = NULL;
    script_relieve(s);
    for (int i = 0; i < ATTEMPTS && !s->dispatcher; i++, co = NULL) {
        int args = push_outcome(s, co, status);
        int err = lua_pcall(l, args, 2, 1);
        if (err) {
            log_write(s->log, LOG_ERROR, "the dispatcher failed: %s", script_error(l));
        } else {
            s->dispatcher = lua_tothread(l, -2);
            more = lua_toboolean(l, -1);
        }
        lua_settop(l, 0);
        script_relieve(s);
    }
    if (!s->dispatcher)
        lose_batch(s->worker);
    return s->dispatcher && more;
}

static void dispatch(struct script *s)
{
    int status = 0;
    script_relieve(s); /* a hook may have caught the error */
    if (collector_pace(&s->collector, s->lua, s->worker->given.events[0].len) != 0) {
        log_write(s->log, LOG_ERROR, "a finaliser failed: %s", script_error(s->lua));
        lua_pop(s->lua, 1);
    }
    const struct event_batch *batch = &s->worker->given;
    bool more = s->dispatcher || go_on(s, status);
    for (int in_vain = 0; more;) {
        int32_t at = batch->at;
        if (took_all(s, &status))
            break;
        in_vain = batch->at == at ? in_vain + 1 : 0;
        watched_renew(&s->watched);
        if (status != LUA_YIELD && batch->at > at)
            lose(s->worker, &batch->events[batch->at - 1]);
        more = go_on(s, status);
        if (in_vain == ATTEMPTS) {
            lose_batch(s->worker);
            break;
        }
    }
}

void script_dispatch(void *script)
{
    struct script *s = script;
    watched_enter(&s->watched);
    dispatch(s);
    watched_leave(&s->watched);
}

uint32_t script_pending(void *script)
{
    struct script *s = script;
    lua_State *l = s->lua;
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->with_traceback);
    lua_rawgeti(l, LUA_REGISTRYINDEX, s->functions[PENDING]);
    uint32_t waiting = 0;
    if (lua_pcall(l, 0, 1, 1) != 0)
        log_write(s->log, LOG_ERROR, "what waits is not known: %s", script_error(l));
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
        log_write(s->log, LOG_ERROR, "the generations are not known: %s", script_error(l));
    } else {
        size_t len;
        const char *text = lua_tolstring(l, -1, &len);
        err = buffer_append(out, text, len);
    }
    lua_settop(l, 0);
    return err;
}
