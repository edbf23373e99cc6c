/* Cookies, queries, header lines and comma lists. */
#include "protocol/http_pairs.h"

#include <string.h>

/* A part of the text between two separators. */
struct range {
    const char *text;
    uint32_t from;
    uint32_t to;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks at both ends. */
static struct http_span trimmed(struct range r)
{
    while (r.from < r.to && is_blank(r.text[r.from]))
        r.from++;
    while (r.from < r.to && is_blank(r.text[r.to - 1]))
        r.to--;
    return (struct http_span){r.from, r.to - r.from};
}

static struct http_span whole(struct range r)
{
    return (struct http_span){r.from, r.to - r.from};
}

/* Cuts a range in two at the first such byte. False: it has none, and *left is all of it. */
static bool split(struct range r, char at, struct range *left, struct range *right)
{
    const char *found = memchr(r.text + r.from, at, r.to - r.from);
    uint32_t middle = found ? (uint32_t)(found - r.text) : r.to;
    *left = (struct range){r.text, r.from, middle};
    *right = (struct range){r.text, found ? middle + 1 : r.to, r.to};
    return found != NULL;
}

static bool has_blank(const char *text, struct http_span s)
{
    return memchr(text + s.at, ' ', s.len) || memchr(text + s.at, '\t', s.len);
}

/* RFC 6265 §5.4, §4.1.1: quotes around a value are no part of it. */
static bool cookie(struct range r, struct http_pair *out)
{
    struct range left;
    struct range right;
    if (!split(r, '=', &left, &right))
        return false;
    out->name = trimmed(left);
    struct http_span value = trimmed(right);
    if (value.len >= 2 && r.text[value.at] == '"' && r.text[value.at + value.len - 1] == '"')
        value = (struct http_span){value.at + 1, value.len - 2};
    out->value = value;
    return out->name.len > 0 && !has_blank(r.text, out->name);
}

/* WHATWG URL, application/x-www-form-urlencoded: a name without "=" has an empty value. */
static bool query(struct range r, struct http_pair *out)
{
    struct range left;
    struct range right;
    (void)split(r, '=', &left, &right);
    out->name = whole(left);
    out->value = whole(right);
    return r.to > r.from;
}

static bool line(struct range r, struct http_pair *out)
{
    struct range left;
    struct range right;
    if (!split(r, ':', &left, &right))
        return false;
    if (right.from < right.to && right.text[right.from] == ' ')
        right.from++;
    out->name = whole(left);
    out->value = whole(right);
    return out->name.len > 0;
}

/* RFC 9110 §5.6.1: members that are empty do not count. */
static bool member(struct range r, struct http_pair *out)
{
    out->name = trimmed(r);
    out->value = (struct http_span){r.to, 0};
    return out->name.len > 0;
}

static const struct {
    char separator;
    bool (*read)(struct range r, struct http_pair *out);
} kinds[] = {
    [HTTP_PAIRS_COOKIES] = {';', cookie},
    [HTTP_PAIRS_QUERY] = {'&', query},
    [HTTP_PAIRS_LINES] = {'\n', line},
    [HTTP_PAIRS_LIST] = {',', member},
};

bool http_pairs_next(enum http_pairs kind, const char *text, uint32_t len, uint32_t *at,
                     struct http_pair *out)
{
    while (*at < len) {
        struct range part;
        struct range rest;
        (void)split((struct range){text, *at, len}, kinds[kind].separator, &part, &rest);
        *at = rest.from;
        if (kinds[kind].read(part, out))
            return true;
    }
    return false;
}
