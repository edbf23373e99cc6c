/* A long message becomes a Lua string where it lies, without a copy.
 *
 * For a new string LuaJIT takes a block from the state's allocator, writes a header to its beginning and
 * copies the text behind that. When the text already lies in a block with room for just this header
 * (protocol/message.h), the allocator can give it that very block: the text is then copied onto itself, which
 * memcpy leaves be. A message of 1 MiB is not read and written once more, and there is no second megabyte to
 * go through the caches.
 *
 * What LuaJIT does is not assumed: a trial at the start shows whether it works. Where it does not, the text is
 * copied, as for any string. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room in a message's block before its text and behind it. No block has it any more. */
enum { MESSAGE_HEAD_ROOM = 24, MESSAGE_TAIL_ROOM = 8 };

struct long_string {
    uint8_t *block; /* ours until Lua takes it; or NULL */
    uint8_t *text;  /* in it */
    size_t len;
    bool works;   /* the trial has shown it */
    bool offered; /* the allocator may give the block */
    bool taken;
    uint8_t
        end[MESSAGE_TAIL_ROOM]; /* the text's last bytes: LuaJIT pads a string before it fills it */
};

/* The trial, which may raise. The state's allocator must ask long_string_take by now. */
void long_string_try(struct long_string *s, lua_State *l);
void long_string_deinit(struct long_string *s);

/* The string that Lua makes next may be this message's: data of len bytes, more than POOL_BLOCK_MAX, in a
 * block of its own, which is ours from now on. The data can be read until long_string_settle. Whatever else is
 * asked of the allocator before that string withdraws the offer. */
void long_string_offer(struct long_string *s, uint8_t *block, size_t len);
/* The string is there. */
void long_string_settle(struct long_string *s);

/* For the allocator: what to give for this request, or NULL: a block as ever. */
static inline void *long_string_take(struct long_string *s, const void *block, size_t size)
{
    if (!s->offered)
        return NULL;
    s->offered = false;
    size_t least = MESSAGE_HEAD_ROOM + s->len;
    s->taken = !block && size > least && size <= least + MESSAGE_TAIL_ROOM;
    return s->taken ? s->block : NULL;
}
