/* Writes JSON by recursion over tables. A failure notes the path to its value on the way back. */
#include "script/json_write.h"

#include <float.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/utf8.h"
#include "script/json_read.h"

/* ---- failures ---- */

static int refuse(struct json_write *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct json_write *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(w->why, sizeof(w->why), format, args);
    va_end(args);
    w->path_at = sizeof(w->path) - 1;
    w->path[w->path_at] = '\0';
    return ERR_INVALID;
}

/* Puts a step in front of the path. What has no room is replaced by "…" once. */
static void prepend(struct json_write *w, const char *step, size_t len)
{
    static const char more[] = "…";
    if (w->path_at >= len + sizeof(more)) {
        w->path_at -= len;
        memcpy(w->path + w->path_at, step, len);
    } else if (w->path_at >= sizeof(more) &&
               memcmp(w->path + w->path_at, more, sizeof(more) - 1) != 0) {
        w->path_at -= sizeof(more) - 1;
        memcpy(w->path + w->path_at, more, sizeof(more) - 1);
    }
}

static void prepend_place(struct json_write *w, int place)
{
    char step[16];
    int len = snprintf(step, sizeof(step), "[%d]", place);
    prepend(w, step, (size_t)len);
}

/* The key is below the value on top. */
static void prepend_key(struct json_write *w, lua_State *l)
{
    if (lua_type(l, -2) == LUA_TNUMBER) {
        prepend_place(w, (int)lua_tonumber(l, -2));
        return;
    }
    size_t len;
    const char *key = lua_tolstring(l, -2, &len);
    prepend(w, key, len);
    prepend(w, ".", 1);
}

/* ---- text and numbers ---- */

static int put(struct json_write *w, const char *text, size_t len)
{
    return buffer_append(w->out, text, len);
}

static int put_byte(struct json_write *w, char c)
{
    if (w->out->len < w->out->cap) {
        w->out->data[w->out->len++] = (uint8_t)c;
        return 0;
    }
    return buffer_append(w->out, &c, 1);
}

static uint8_t *put_escape(uint8_t *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    *to++ = '\\';
    if (c >= 0x20 || letters[c]) {
        *to++ = c >= 0x20 ? c : (uint8_t)letters[c];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = (uint8_t)hex[c >> 4];
    to[4] = (uint8_t)hex[c & 15];
    return to + 5;
}

static int put_string(struct json_write *w, const char *text, size_t len)
{
    enum { ESCAPE_BYTES = 6 }; /* the longest */
    uint8_t seen = 0;
    if (len > SIZE_MAX / ESCAPE_BYTES - 2 || buffer_reserve(w->out, len * ESCAPE_BYTES + 2) < 0)
        return ERR_MEMORY;
    uint8_t *to = w->out->data + w->out->len;
    *to++ = '"';
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        seen |= c;
        if (c < 0x20 || c == '"' || c == '\\')
            to = put_escape(to, c);
        else
            *to++ = c;
    }
    *to++ = '"';
    if (seen >= 0x80 && !utf8_valid((const uint8_t *)text, len))
        return refuse(w, "is a string that is not UTF-8");
    w->out->len = (size_t)(to - w->out->data);
    return 0;
}

static int put_number(struct json_write *w, double value)
{
    char text[40];
    int len = 0;
    if (!isfinite(value))
        return refuse(w, "is %s, which JSON does not have",
                      isnan(value) ? "not a number (0/0)" : "infinite");
    if (fabs(value) <= 9007199254740992.0 && value == (double)(int64_t)value) {
        bool minus_zero = value == 0 && signbit(value);
        len = snprintf(text, sizeof(text), "%s%" PRId64, minus_zero ? "-" : "", (int64_t)value);
    } else {
        for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
            len = snprintf(text, sizeof(text), "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
    }
    return put(w, text, (size_t)len);
}

/* ---- tables ---- */

static int put_value(struct json_write *w, lua_State *l, int depth);

struct shape {
    bool marked; /* it has the metatable of lists */
    bool list;   /* its keys are whole numbers from 1 on */
    double last; /* the highest key of a list */
    double count;
};

static bool is_marked(const struct json_write *w, lua_State *l)
{
    if (!lua_getmetatable(l, -1))
        return false;
    bool marked = lua_rawequal(l, -1, w->list_meta);
    lua_pop(l, 1);
    return marked;
}

/* Of the table on top. */
static struct shape shape_of(const struct json_write *w, lua_State *l)
{
    struct shape s = {.marked = is_marked(w, l), .list = true};
    lua_pushnil(l);
    while (lua_next(l, -2)) {
        lua_pop(l, 1);
        double key = lua_type(l, -1) == LUA_TNUMBER ? lua_tonumber(l, -1) : 0;
        if (key < 1 || key != floor(key) || isinf(key)) {
            lua_pop(l, 1);
            s.list = false;
            return s;
        }
        s.last = key > s.last ? key : s.last;
        s.count++;
    }
    s.list = s.marked || s.count > 0;
    return s;
}

/* Holes are null, unless there are so many that the table was not meant as a list. */
static int put_list(struct json_write *w, lua_State *l, const struct shape *s, int depth)
{
    enum { FEW = 10 };
    if (s->last > FEW && s->last > 2 * s->count)
        return refuse(w, "is a list with holes: it has %.0f items, and the last one is [%.0f]",
                      s->count, s->last);
    int err = put_byte(w, '[');
    for (int i = 1; !err && i <= (int)s->last; i++) {
        lua_rawgeti(l, -1, i);
        if (i > 1)
            err = put_byte(w, ',');
        if (!err)
            err = put_value(w, l, depth);
        if (err == ERR_INVALID)
            prepend_place(w, i);
        lua_pop(l, 1);
    }
    return err ? err : put_byte(w, ']');
}

/* The name of the member whose value is on top. */
static int put_name(struct json_write *w, lua_State *l)
{
    int err = 0;
    if (lua_type(l, -2) == LUA_TNUMBER) {
        err = put_byte(w, '"');
        if (!err)
            err = put_number(w, lua_tonumber(l, -2));
        if (!err)
            err = put_byte(w, '"');
    } else if (lua_type(l, -2) == LUA_TSTRING) {
        size_t len;
        const char *key = lua_tolstring(l, -2, &len);
        err = put_string(w, key, len);
        if (err == ERR_INVALID)
            err = refuse(w, "has a name that is not UTF-8");
    } else {
        err = refuse(w, "has a key that is a %s: names are strings", luaL_typename(l, -2));
    }
    return err ? err : put_byte(w, ':');
}

static int put_member(struct json_write *w, lua_State *l, int depth)
{
    int err = put_name(w, l);
    if (err)
        return err;
    err = put_value(w, l, depth);
    if (err == ERR_INVALID)
        prepend_key(w, l);
    return err;
}

static int put_object(struct json_write *w, lua_State *l, int depth)
{
    bool first = true;
    int err = put_byte(w, '{');
    lua_pushnil(l);
    while (!err && lua_next(l, -2)) {
        if (!first)
            err = put_byte(w, ',');
        if (!err)
            err = put_member(w, l, depth);
        first = false;
        lua_pop(l, 1);
    }
    if (err) {
        lua_pop(l, 1);
        return err;
    }
    return put_byte(w, '}');
}

static int put_table(struct json_write *w, lua_State *l, int depth)
{
    if (depth == JSON_DEPTH_MAX || !lua_checkstack(l, 6))
        return refuse(w, "is nested too deeply (does a table hold itself?)");
    struct shape s = shape_of(w, l);
    if (s.marked && !s.list)
        return refuse(w, "is a list with a key that is no place in it");
    return s.list ? put_list(w, l, &s, depth + 1) : put_object(w, l, depth + 1);
}

static int put_value(struct json_write *w, lua_State *l, int depth)
{
    size_t len;
    const char *text;
    switch (lua_type(l, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(l, -1, &len);
        return put_string(w, text, len);
    case LUA_TNUMBER:
        return put_number(w, lua_tonumber(l, -1));
    case LUA_TBOOLEAN:
        return lua_toboolean(l, -1) ? put(w, "true", 4) : put(w, "false", 5);
    case LUA_TNIL:
        return put(w, "null", 4);
    case LUA_TTABLE:
        return put_table(w, l, depth);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(l, -1))
            return put(w, "null", 4);
        break;
    }
    return refuse(w, "is a %s, which JSON does not have", luaL_typename(l, -1));
}

int json_write(struct json_write *w, lua_State *l)
{
    return put_value(w, l, 0);
}
