/* Compares entity tags. */
#include "protocol/http_etag.h"

#include <string.h>

#include "protocol/http_syntax.h"

/* Takes [W/]"…" off the text. *opaque is the part in quotes. */
static bool read_tag(const char **text, size_t *len, const char **opaque, size_t *opaque_len)
{
    size_t weak = *len >= 2 && memcmp(*text, "W/", 2) == 0 ? 2 : 0;
    if (*len < weak + 2 || (*text)[weak] != '"')
        return false;
    *opaque = *text + weak + 1;
    const char *end = memchr(*opaque, '"', *len - weak - 1);
    if (!end)
        return false;
    *opaque_len = (size_t)(end - *opaque);
    *len -= (size_t)(end + 1 - *text);
    *text = end + 1;
    return true;
}

/* Skips the commas and blanks between two tags. */
static void skip_between(const char **text, size_t *len)
{
    while (*len && (**text == ',' || **text == ' ' || **text == '\t')) {
        ++*text;
        --*len;
    }
}

bool http_etag_match(const char *value, size_t len, const char *etag)
{
    const char *want;
    size_t want_len;
    size_t etag_len = strlen(etag);
    http_trim(&value, &len);
    if (len == 1 && *value == '*')
        return true;
    if (!read_tag(&etag, &etag_len, &want, &want_len))
        return false;
    const char *tag;
    size_t tag_len;
    for (skip_between(&value, &len); read_tag(&value, &len, &tag, &tag_len);
         skip_between(&value, &len))
        if (tag_len == want_len && memcmp(tag, want, tag_len) == 0)
            return true;
    return false;
}
