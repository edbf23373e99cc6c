/* Takes the forms of a request's target apart. */
#include "protocol/http_target.h"

#include <string.h>

#include "protocol/http_syntax.h"
#include "protocol/url.h"

static bool read_origin_form(struct http_head *head, const char *data, uint32_t at, uint32_t end)
{
    if (at == end || data[at] != '/')
        return false;
    const char *mark = memchr(data + at, '?', end - at);
    uint32_t path_end = mark ? (uint32_t)(mark - data) : end;
    head->path = (struct http_span){at, path_end - at};
    if (mark)
        head->query = (struct http_span){path_end + 1, end - path_end - 1};
    return true;
}

static bool read_absolute_form(struct http_head *head, const char *data)
{
    static const char *const schemes[] = {"http", "https", "ws", "wss"};
    const char *target = data + head->target.at;
    uint32_t end = head->target.at + head->target.len;
    const char *colon = memchr(target, ':', head->target.len);
    if (!colon || data + end - colon < 3 || memcmp(colon, "://", 3) != 0)
        return false;
    bool known = false;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
        known |= http_equal(target, (size_t)(colon - target), schemes[i]);
    uint32_t host = (uint32_t)(colon - data) + 3;
    uint32_t at = host;
    while (at < end && data[at] != '/' && data[at] != '?')
        at++;
    struct url_authority authority;
    if (!known || url_authority(&authority, data + host, at - host))
        return false;
    head->host = (struct http_span){host, at - host};
    if (at < end && data[at] == '/')
        return read_origin_form(head, data, at, end);
    /* No path means "/" (RFC 9110 §4.2.3): the slash before the host stands for it. */
    head->path = (struct http_span){host - 1, 1};
    if (at < end)
        head->query = (struct http_span){at + 1, end - at - 1};
    return true;
}

bool http_target_read(struct http_head *head, const char *data)
{
    const char *target = data + head->target.at;
    uint32_t len = head->target.len;
    if (head->method_name.len == 7 && memcmp(data + head->method_name.at, "CONNECT", 7) == 0) {
        struct url_authority authority;
        return url_authority(&authority, target, len) == 0 && authority.has_port;
    }
    if (len == 1 && *target == '*') {
        head->path = head->target;
        return head->method == HTTP_OPTIONS;
    }
    return read_origin_form(head, data, head->target.at, head->target.at + len) ||
           read_absolute_form(head, data);
}
