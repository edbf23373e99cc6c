/* Parses the Range field. */
#include "protocol/http_range.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "protocol/http_syntax.h"

/* Reads digits; a number over UINT64_MAX becomes that. False when there is none, or another
 * byte. */
static bool read_number(const char *text, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *out = value;
    return len > 0;
}

/* Reads what stands behind the dash of "-500", which asks for the last 500 bytes. */
static int read_suffix(const char *text, size_t len, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t count;
    if (!read_number(text, len, &count))
        return 0;
    if (count == 0 || size == 0)
        return ERR_INVALID;
    *first = count < size ? size - count : 0;
    *last = size - 1;
    return 1;
}

int http_range_parse(const char *value, size_t len, uint64_t size, uint64_t *first, uint64_t *last)
{
    const char *equals = memchr(value, '=', len);
    if (!equals || !http_equal(value, (size_t)(equals - value), "bytes"))
        return 0;
    const char *text = equals + 1;
    len -= (size_t)(text - value);
    http_trim(&text, &len);
    const char *dash = memchr(text, '-', len);
    if (!dash)
        return 0;
    size_t after = len - (size_t)(dash - text) - 1;
    if (dash == text)
        return read_suffix(dash + 1, after, size, first, last);
    uint64_t from;
    uint64_t to = UINT64_MAX;
    if (!read_number(text, (size_t)(dash - text), &from) ||
        (after && !read_number(dash + 1, after, &to)) || to < from)
        return 0;
    if (from >= size)
        return ERR_INVALID;
    *first = from;
    *last = to < size ? to : size - 1;
    return 1;
}
