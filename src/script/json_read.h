/* Reads JSON (RFC 8259), and nothing that only looks like it, into Lua values. */
#pragma once

#include <lua.h>
#include <stddef.h>

#include "base/buffer.h"

enum { JSON_DEPTH_MAX = 1000 /* lists and objects in one another, read and written */ };

struct json_read {
    const char *text; /* a Lua string: a NUL follows it */
    const char *end;
    int list_meta;          /* where the metatable of lists lies on the stack */
    struct buffer *scratch; /* the caller's, for strings with escapes */
    /* After a failure: */
    const char *at;  /* where it is; NULL: in the text as a whole */
    const char *why; /* a static text for people */
};

/* Pushes the value. Numbers are the nearest double, lists have the metatable, null is NULL as
 * lightuserdata, of members of one name the last counts. Returns 0, or ERR_INVALID with r->at and
 * r->why: this is not JSON, not UTF-8, nested deeper than JSON_DEPTH_MAX, or has a number beyond
 * the doubles; or ERR_MEMORY. After a failure some values of no meaning are on the stack. Raises
 * when Lua has no memory. */
int json_read(struct json_read *r, lua_State *l) __attribute__((warn_unused_result));
