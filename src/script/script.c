/* What the files that run a script share. */
#include "script/script.h"

#include "engine/worker/worker.h"

enum { COLLECT_ATTEMPTS = 100 /* each ends where a finaliser raises */ };

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
