/* Writes Lua values as JSON (RFC 8259). */
#pragma once

#include <lua.h>
#include <stddef.h>

#include "base/buffer.h"

enum { JSON_PATH_BYTES = 160, JSON_WHY_BYTES = 128 };

struct json_write {
    struct buffer *out; /* the caller's; the text comes behind what is there */
    int list_meta;      /* where the metatable of lists lies on the stack */
    /* After ERR_INVALID: */
    char why[JSON_WHY_BYTES];   /* "is a function, which JSON does not have" */
    char path[JSON_PATH_BYTES]; /* of what, at the array's end: ".users[2].name" */
    size_t path_at;             /* where it begins */
};

/* Writes the value on top of the stack, which stays as it is. A table with the metatable of lists
 * is a list, as is one whose keys are 1 and up; another is an object, the empty one too. A double
 * is written with as many digits as bring it back, a whole number up to 2^53 without an exponent.
 * Returns 0; ERR_INVALID with w->why and w->path, for what JSON does not have or that is nested
 * deeper than JSON_DEPTH_MAX; or ERR_MEMORY. Raises when Lua has no memory. */
int json_write(struct json_write *w, lua_State *l) __attribute__((warn_unused_result));
