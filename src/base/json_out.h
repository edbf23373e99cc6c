/* Writes JSON (RFC 8259) into a buffer, commas included.
 *
 * The first failure stays, and what is written after it does nothing: a caller looks at err once,
 * when it has written all. The buffer may then hold a part of the text.
 *
 * Inside an object every value has a name, which is written as it is (no character of it needs an
 * escape); inside an array, and for the value on top, name is NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* {.out = …} is ready to write. */
struct json_out {
    struct buffer *out; /* the caller's; what it holds stays in front */
    bool comma;         /* a value stands before, in the same object or array */
    int err;            /* 0, or ERR_MEMORY */
};

void json_out_object(struct json_out *j, const char *name);
void json_out_object_end(struct json_out *j);
void json_out_array(struct json_out *j, const char *name);
void json_out_array_end(struct json_out *j);
void json_out_bool(struct json_out *j, const char *name, bool value);
void json_out_integer(struct json_out *j, const char *name, int64_t value);
/* A text of any bytes: those that are not UTF-8 become U+FFFD. NULL is null. */
void json_out_string(struct json_out *j, const char *name, const char *text);
void json_out_text(struct json_out *j, const char *name, const char *text, size_t len);
/* A value that is JSON already, but may hold bytes in its strings that are not UTF-8. */
void json_out_json(struct json_out *j, const char *name, const void *json, size_t len);
