/* Dates, ranges, entity tags and percent-encoding of clients. The oracles: a date that was read is
 * written and read as the same second; a range lies in its content; a tag matches itself in any
 * list, weak or not; what is decoded is no longer than it was, is decoded in place too, and means
 * the same when each byte of it is escaped.
 *
 * Input: 8 bytes for the size of a content, and a value. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/http_date.h"
#include "protocol/http_etag.h"
#include "protocol/http_range.h"
#include "protocol/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_date(const char *text, size_t len)
{
    char out[30];
    time_t t = http_date_parse(text, len);
    if (t == -1)
        return;
    http_date_format(out, t);
    assert(strlen(out) == 29);
    assert(http_date_parse(out, 29) == t);
}

static void check_range(const char *text, size_t len, uint64_t content)
{
    uint64_t first = 1;
    uint64_t last = 0;
    int status = http_range_parse(text, len, content, &first, &last);
    assert(status == 0 || status == 1 || status == ERR_INVALID);
    assert(status != 1 || (first <= last && last < content));
}

/* The tag that the value makes between quotes, if it can be one. */
static void check_etag(const char *text, size_t len)
{
    (void)http_etag_match(text, len, "\"5f-61\"");
    if (memchr(text, '"', len) || memchr(text, '\0', len))
        return;
    char *list = malloc(2 * len + 32);
    char *tag = malloc(len + 3);
    assert(list && tag);
    tag[0] = '"';
    memcpy(tag + 1, text, len);
    memcpy(tag + 1 + len, "\"", 2);
    memcpy(list, "\"a-\" ,, W/", 10);
    memcpy(list + 10, tag, len + 2);
    assert(http_etag_match(list, len + 12, tag));
    assert(http_etag_match(tag, len + 2, tag));
    free(list);
    free(tag);
}

static void check_decoding(const char *text, size_t len, int plus)
{
    static const char hex[] = "0123456789abcdef";
    char *out = malloc(len + 1);
    char *place = malloc(len + 1);
    assert(out && place);
    memcpy(place, text, len);
    long n = url_decode(out, text, len, plus);
    long same = url_decode(place, place, len, plus);
    assert(n == same && (n == ERR_INVALID || (n >= 0 && (size_t)n <= len)));
    if (n >= 0) {
        assert(memcmp(out, place, (size_t)n) == 0);
        char *escaped = malloc(3 * (size_t)n + 1);
        assert(escaped);
        for (long i = 0; i < n; i++) {
            escaped[3 * i] = '%';
            escaped[3 * i + 1] = hex[(uint8_t)out[i] >> 4];
            escaped[3 * i + 2] = hex[(uint8_t)out[i] & 15];
        }
        long again = url_decode(escaped, escaped, 3 * (size_t)n, plus);
        assert(again == n && memcmp(escaped, out, (size_t)n) == 0);
        free(escaped);
    }
    free(out);
    free(place);
}

static void check_authority(const char *text, size_t len)
{
    struct url_authority a;
    if (url_authority(&a, text, len) < 0)
        return;
    assert(a.host == text && a.host_len > 0 && a.host_len <= len);
    assert(!memchr(a.host, '@', a.host_len) && !memchr(a.host, '/', a.host_len));
    assert(a.has_port || a.host_len + 1 >= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t content;
    if (size < sizeof(content))
        return 0;
    memcpy(&content, data, sizeof(content));
    size -= sizeof(content);
    char *text = malloc(size ? size : 1);
    assert(text);
    memcpy(text, data + sizeof(content), size);
    check_date(text, size);
    check_range(text, size, content);
    check_etag(text, size);
    check_decoding(text, size, 0);
    check_decoding(text, size, 1);
    check_authority(text, size);
    free(text);
    return 0;
}
