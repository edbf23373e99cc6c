/* A long message becomes a Lua string where it lies, without a copy.
 *
 * For a new string LuaJIT takes a block from the state's allocator, writes a header to its
 * beginning and copies the text behind that. The text of a long message already lies in a block
 * that has room for just this header (protocol/message_parts.h), so the allocator gives LuaJIT that
 * very block: the text is then copied onto itself, which memcpy leaves be. A message of 1 MiB is
 * not read and written once more, and no second megabyte goes through the caches. What that is
 * worth stands in docs/decisions/lua-heap.md.
 *
 * What LuaJIT does is not assumed: a trial at the start shows whether it works. Where it does not,
 * the text is copied, as for any string. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/message_parts.h"

struct long_string {
    uint8_t *block; /* ours until Lua takes it; or NULL */
    uint8_t *text;  /* in the block */
    size_t len;
    bool works;                     /* the trial has shown it */
    bool offered;                   /* the allocator may give the block */
    bool taken;                     /* it did */
    uint8_t end[MESSAGE_TAIL_ROOM]; /* the text's last bytes: LuaJIT writes the padding of a string
                                     * before it copies the text */
};

/* Makes the trial, which may raise. The state's allocator must ask long_string_take by now. */
void long_string_try(struct long_string *s, lua_State *l);
void long_string_deinit(struct long_string *s);

/* Offers Lua's next string the block of a message of len bytes, more than POOL_BLOCK_MAX. The block
 * is ours from now on; its text can be read until long_string_settle. Whatever else is asked of the
 * allocator before that string withdraws the offer. */
void long_string_offer(struct long_string *s, uint8_t *block, size_t len);
/* The string is made. Frees the block if Lua has not taken it. */
void long_string_settle(struct long_string *s);

/* For the allocator: the block for this request, or NULL when it is to give one of its own. */
static inline void *long_string_take(struct long_string *s, const void *block, size_t size)
{
    if (!s->offered)
        return NULL;
    s->offered = false;
    size_t least = MESSAGE_HEAD_ROOM + s->len;
    s->taken = !block && size > least && size <= least + MESSAGE_TAIL_ROOM;
    return s->taken ? s->block : NULL;
}
