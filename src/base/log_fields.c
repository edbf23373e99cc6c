/* Walks over JSON members of our own making, and writes them as name=value. */
#include "base/log_fields.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/escape.h"

/* The end of the string that begins with the quote at text[at]: behind its last quote. */
static size_t string_end(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at + 1 < len ? at + 1 : len;
}

/* The end of the value at text[at]: its comma, or len. */
static size_t value_end(const char *text, size_t len, size_t at)
{
    size_t depth = 0;
    while (at < len && (depth > 0 || text[at] != ',')) {
        if (text[at] == '"') {
            at = string_end(text, len, at);
            continue;
        }
        if (text[at] == '{' || text[at] == '[')
            depth++;
        else if (text[at] == '}' || text[at] == ']')
            depth--;
        at++;
    }
    return at;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_./:+@", c));
}

static bool is_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_plain(text[i]))
            return false;
    return len > 0;
}

/* Would the word be read as something else than a string? */
static bool is_other_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr("0123456789.+-eE", text[i]))
            return (len == 4 && (!memcmp(text, "true", 4) || !memcmp(text, "null", 4))) ||
                   (len == 5 && !memcmp(text, "false", 5));
    return true;
}

/* A string of JSON, quotes included, or another value. */
static int append(struct buffer *out, const char *text, size_t len, bool is_name)
{
    bool is_string = len > 2 && text[0] == '"';
    if (is_string && is_word(text + 1, len - 2) && (is_name || !is_other_value(text + 1, len - 2)))
        return buffer_append(out, text + 1, len - 2);
    return escape_invalid(out, text, len);
}

int log_fields_text(struct buffer *out, const char *members, size_t len)
{
    int err = 0;
    for (size_t at = 0; at < len && !err;) {
        size_t name_end = string_end(members, len, at);
        size_t value = name_end < len ? name_end + 1 : len; /* behind the colon */
        size_t end = value_end(members, len, value);
        if (at > 0)
            err = buffer_append(out, " ", 1);
        if (!err)
            err = append(out, members + at, name_end - at, true);
        if (!err)
            err = buffer_append(out, "=", 1);
        if (!err)
            err = append(out, members + value, end - value, false);
        at = end + 1;
    }
    return err;
}
