/* Offers blocks to the allocator of Lua, and tries at the start whether LuaJIT takes them. */
#include "script/long_string.h"

#include <stdlib.h>
#include <string.h>

enum { TRIAL_BYTES = 1000, TRIALS = 4 /* strings are padded to a multiple of this */ };

void long_string_deinit(struct long_string *s)
{
    free(s->block);
    s->block = NULL;
    s->offered = false;
}

void long_string_offer(struct long_string *s, uint8_t *block, size_t len)
{
    free(s->block); /* left when its string could not be made */
    s->block = block;
    s->text = block + MESSAGE_HEAD_ROOM;
    s->len = len;
    s->offered = true;
    s->taken = false;
    memcpy(s->end, s->text + len - sizeof(s->end), sizeof s->end);
}

void long_string_settle(struct long_string *s)
{
    s->offered = false;
    if (s->taken)
        memcpy(s->text + s->len - sizeof(s->end), s->end, sizeof s->end);
    else
        free(s->block);
    s->taken = false;
    s->block = NULL;
}

static bool try_one(struct long_string *s, lua_State *l, size_t len)
{
    uint8_t *block = malloc(MESSAGE_HEAD_ROOM + len + MESSAGE_TAIL_ROOM);
    if (!block)
        return false;
    char *text = (char *)block + MESSAGE_HEAD_ROOM;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(i * 7 + len);
    long_string_offer(s, block, len);
    lua_pushlstring(l, text, len);
    bool taken = s->taken;
    long_string_settle(s);
    bool same = taken && lua_tostring(l, -1) == text && text[len] == '\0';
    for (size_t i = 0; i < len && same; i++)
        same = text[i] == (char)(i * 7 + len);
    lua_pop(l, 1);
    return same;
}

void long_string_try(struct long_string *s, lua_State *l)
{
    lua_gc(l, LUA_GCSTOP, 0); /* what it frees would withdraw the offer */
    s->works = true;
    for (size_t i = 0; i < TRIALS; i++)
        s->works = s->works && try_one(s, l, TRIAL_BYTES + i);
    lua_gc(l, LUA_GCRESTART, 0);
}
