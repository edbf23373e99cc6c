/* Reads JSON by recursive descent, pushing values as they end. */
#include "script/json_read.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/http_syntax.h"
#include "protocol/utf8.h"

static int refuse(struct json_read *r, const char *at, const char *why)
{
    r->at = at;
    r->why = why;
    return ERR_INVALID;
}

static void skip_blanks(struct json_read *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

/* The next byte that is not blank, or -1 at the end. */
static int next_byte(struct json_read *r)
{
    skip_blanks(r);
    return r->at < r->end ? (uint8_t)*r->at : -1;
}

/* ---- numbers (§6) ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The NUL behind the text ends each of these loops. */
static const char *skip_digits(const char *p)
{
    while (is_digit(*p))
        p++;
    return p;
}

static int push_number(struct json_read *r, lua_State *l, const char *end, bool whole)
{
    enum { EXACT_DIGITS = 15 }; /* so many fit a double, whatever they are */
    const char *p = r->at + (*r->at == '-');
    double value = 0;
    if (whole && end - p <= EXACT_DIGITS) {
        int64_t n = 0;
        for (; p < end; p++)
            n = n * 10 + (*p - '0');
        value = *r->at == '-' ? -(double)n : (double)n;
    } else {
        value = strtod(r->at, NULL);
        if (isinf(value))
            return refuse(r, r->at, "this number is too large");
    }
    lua_pushnumber(l, value);
    r->at = end;
    return 0;
}

static int read_number(struct json_read *r, lua_State *l)
{
    const char *p = r->at + (*r->at == '-');
    const char *digits = p;
    bool whole = true;
    p = skip_digits(p);
    if (p == digits)
        return refuse(r, r->at, "digits are missing behind a minus");
    if (*digits == '0' && p > digits + 1)
        return refuse(r, digits, "a number does not begin with 0 before other digits");
    if (*p == '.') {
        whole = false;
        if (!is_digit(*++p))
            return refuse(r, p, "digits are missing behind a point");
        p = skip_digits(p);
    }
    if (*p == 'e' || *p == 'E') {
        whole = false;
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        if (!is_digit(*p))
            return refuse(r, p, "digits are missing in an exponent");
        p = skip_digits(p);
    }
    return push_number(r, l, p, whole);
}

/* ---- strings (§7) ---- */

/* The four digits of \uXXXX, or -1. */
static int32_t read_unit(const char *p, const char *end)
{
    int32_t unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = http_hex_value(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
    } else if (code < 0x800) {
        *to++ = (uint8_t)(0xc0 | code >> 6);
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (uint8_t)(0xe0 | code >> 12);
        *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | code >> 18);
        *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return to;
}

/* Writes the character of the escape at *p, which moves behind it. NULL with r->why set when there
 * is none: half of a surrogate pair has no UTF-8. */
static uint8_t *put_escape(struct json_read *r, uint8_t *to, const char **p, const char *end)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = *p;
    const char *letter = at[1] ? strchr(letters, at[1]) : NULL;
    if (letter) {
        *to++ = (uint8_t)meant[letter - letters];
        *p += 2;
        return to;
    }
    int32_t unit = read_unit(at, end);
    if (unit < 0) {
        (void)refuse(r, at, "this escape is unknown");
        return NULL;
    }
    *p += 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return put_utf8(to, (uint32_t)unit);
    int32_t low = read_unit(*p, end);
    if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        (void)refuse(r, at, "this escape is half a character");
        return NULL;
    }
    *p += 6;
    return put_utf8(to, 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
}

/* A string with escapes, from p to its quote at end. What an escape means is never longer than the
 * escape. */
static int push_escaped(struct json_read *r, lua_State *l, const char *p, const char *end)
{
    r->scratch->len = 0;
    if (buffer_reserve(r->scratch, (size_t)(end - p)) < 0)
        return ERR_MEMORY;
    uint8_t *to = r->scratch->data;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        memcpy(to, p, plain);
        to += plain;
        p += plain;
        if (p < end) {
            to = put_escape(r, to, &p, end);
            if (!to)
                return ERR_INVALID;
        }
    }
    lua_pushlstring(l, (const char *)r->scratch->data, (size_t)(to - r->scratch->data));
    return 0;
}

/* r->at is the quote that begins it. */
static int read_string(struct json_read *r, lua_State *l)
{
    const char *begin = r->at + 1;
    const char *p = begin;
    bool escaped = false;
    while (p < r->end && *p != '"') {
        if ((uint8_t)*p < 0x20)
            return refuse(r, p, "a control character stands in a string: write it as an escape");
        if (*p == '\\') {
            escaped = true;
            p++;
        }
        p++;
    }
    if (p >= r->end)
        return refuse(r, r->at, "this string does not end");
    if (escaped) {
        int err = push_escaped(r, l, begin, p);
        if (err)
            return err;
    } else {
        lua_pushlstring(l, begin, (size_t)(p - begin));
    }
    r->at = p + 1;
    return 0;
}

/* ---- values (§3) ---- */

static int read_value(struct json_read *r, lua_State *l, int depth);

static int read_word(struct json_read *r, lua_State *l)
{
    size_t left = (size_t)(r->end - r->at);
    if (left >= 4 && memcmp(r->at, "true", 4) == 0) {
        lua_pushboolean(l, true);
        r->at += 4;
    } else if (left >= 5 && memcmp(r->at, "false", 5) == 0) {
        lua_pushboolean(l, false);
        r->at += 5;
    } else if (left >= 4 && memcmp(r->at, "null", 4) == 0) {
        lua_pushlightuserdata(l, NULL);
        r->at += 4;
    } else {
        return refuse(r, r->at,
                      "a value is expected: an object, a list, a string in double quotes, a "
                      "number, true, false or null");
    }
    return 0;
}

static int read_list(struct json_read *r, lua_State *l, int depth)
{
    r->at++;
    lua_newtable(l);
    lua_pushvalue(l, r->list_meta);
    lua_setmetatable(l, -2);
    if (next_byte(r) == ']') {
        r->at++;
        return 0;
    }
    for (int i = 1;; i++) {
        int err = read_value(r, l, depth);
        if (err)
            return err;
        lua_rawseti(l, -2, i);
        int c = next_byte(r);
        if (c != ']' && c != ',')
            return refuse(r, r->at, "a comma or ] is expected");
        r->at++;
        if (c == ']')
            return 0;
    }
}

static int read_object(struct json_read *r, lua_State *l, int depth)
{
    r->at++;
    lua_newtable(l);
    if (next_byte(r) == '}') {
        r->at++;
        return 0;
    }
    for (;;) {
        if (next_byte(r) != '"')
            return refuse(r, r->at, "a name in double quotes is expected");
        int err = read_string(r, l);
        if (err)
            return err;
        if (next_byte(r) != ':')
            return refuse(r, r->at, "a colon is expected");
        r->at++;
        err = read_value(r, l, depth);
        if (err)
            return err;
        lua_rawset(l, -3);
        int c = next_byte(r);
        if (c != '}' && c != ',')
            return refuse(r, r->at, "a comma or } is expected");
        r->at++;
        if (c == '}')
            return 0;
    }
}

static int read_value(struct json_read *r, lua_State *l, int depth)
{
    int c = next_byte(r);
    if (c < 0)
        return refuse(r, r->at, "the text ends where a value is expected");
    if (c == '"')
        return read_string(r, l);
    if (c == '-' || is_digit((char)c))
        return read_number(r, l);
    if (c != '{' && c != '[')
        return read_word(r, l);
    if (depth == JSON_DEPTH_MAX || !lua_checkstack(l, 4))
        return refuse(r, r->at, "lists and objects are nested too deeply");
    return c == '{' ? read_object(r, l, depth + 1) : read_list(r, l, depth + 1);
}

int json_read(struct json_read *r, lua_State *l)
{
    r->at = r->text;
    if (!utf8_valid((const uint8_t *)r->text, (size_t)(r->end - r->text)))
        return refuse(r, NULL, "it is not UTF-8");
    if (r->end - r->text >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0)
        return refuse(r, r->at, "a byte order mark stands before it");
    int err = read_value(r, l, 0);
    if (!err && next_byte(r) >= 0)
        err = refuse(r, r->at, "something follows the value");
    return err;
}
