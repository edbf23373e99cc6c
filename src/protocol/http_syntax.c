/* Reads tokens, comma lists and digits. */
#include "protocol/http_syntax.h"

#include <string.h>

const bool http_token_byte[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

bool http_is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!http_token_byte[(uint8_t)text[i]])
            return false;
    return len > 0;
}

bool http_equal(const char *text, size_t len, const char *lower)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (lower[i] == '\0' || c != lower[i])
            return false;
    }
    return lower[len] == '\0';
}

int http_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void http_trim(const char **text, size_t *len)
{
    while (*len && is_blank(**text)) {
        ++*text;
        --*len;
    }
    while (*len && is_blank((*text)[*len - 1]))
        --*len;
}

bool http_list_next(const char **text, size_t *len, const char **item, size_t *item_len)
{
    while (*len) {
        const char *comma = memchr(*text, ',', *len);
        *item = *text;
        *item_len = comma ? (size_t)(comma - *text) : *len;
        size_t taken = *item_len + (comma ? 1 : 0);
        *text += taken;
        *len -= taken;
        http_trim(item, item_len);
        if (*item_len)
            return true;
    }
    return false;
}
