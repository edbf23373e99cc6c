/* Texts and their encodings for Lua: headers, URLs, lines, digests. */
#include "script/api_text.h"

#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/reload/file.h"
#include "protocol/http_pairs.h"
#include "protocol/http_response.h"
#include "protocol/url.h"
#include "protocol/utf8.h"
#include "protocol/ws_url.h"

int mw_header_append(char *out, size_t size, const char *name, size_t name_len, const char *value,
                     size_t value_len)
{
    struct buffer b = {0};
    int status = http_response_header(&b, name, name_len, value, value_len);
    if (status == 0 && b.len > size)
        status = ERR_TOO_BIG;
    if (status == 0) {
        memcpy(out, b.data, b.len);
        status = (int)b.len;
    }
    buffer_deinit(&b);
    return status;
}

long mw_url_decode(char *out, const char *in, size_t len, int plus)
{
    long decoded = url_decode(out, in, len, plus);
    if (decoded > 0) {
        struct utf8 text = {0};
        int status = utf8_check(&text, (const uint8_t *)out, (size_t)decoded);
        if (status < 0 || !utf8_complete(&text))
            return ERR_UTF8;
    }
    return decoded;
}

int mw_pair_next(int kind, const char *text, size_t len, uint32_t *at, struct http_pair *out)
{
    return http_pairs_next((enum http_pairs)kind, text, (uint32_t)len, at, out);
}

int mw_url_serialize(const char *url, size_t len, char *out, size_t size, const char **why)
{
    struct ws_url parsed;
    int status = ws_url_parse(&parsed, url, len, why);
    if (status < 0)
        return status;
    if (parsed.text.len <= size) {
        memcpy(out, parsed.text.data, parsed.text.len);
        status = (int)parsed.text.len;
    } else {
        status = ERR_TOO_BIG;
    }
    ws_url_deinit(&parsed);
    return status;
}

long mw_lines(const char *text, size_t len, uint32_t first, uint32_t count, const char **at)
{
    const char *end = text + len, *from = text, *stop = text;
    for (uint32_t i = 1; i < first; i++, from = stop + 1) {
        stop = memchr(from, '\n', (size_t)(end - from));
        if (!stop)
            return ERR_NOT_FOUND;
    }
    *at = from;
    stop = from;
    for (uint32_t i = 0; i < count && stop; i++, from = stop ? stop + 1 : end)
        stop = memchr(from, '\n', (size_t)(end - from));
    return (long)((stop ? stop : end) - *at);
}

void mw_digest(const char *data, size_t len, char out[41])
{
    file_digest(out, data, len);
}
