/* Cookies, queries, header lines, comma lists. The oracles: what is found lies in the text, in
 * order, and holds no separator; what follows the last separator makes no difference before it; what
 * was found, written as a list, is found again.
 *
 * Input: a byte for the kind, and the text. */
#include "protocol/http_pairs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char separators[] = {';', '&', '\n', ','};
static const char joins[] = {'=', '=', ':', '\0'};

enum { KINDS = sizeof(separators) };

static void check_span(const char *text, uint32_t from, uint32_t to, struct http_span s, char not )
{
    assert(s.at >= from && s.at <= to && s.len <= to - s.at);
    assert(s.len == 0 || !memchr(text + s.at, not, s.len));
}

/* Writes the pairs of a text as a list. Returns its length: at most that of the text and one byte
 * for each pair. */
static size_t rewrite(enum http_pairs kind, const char *text, uint32_t len, char *out)
{
    uint32_t at = 0;
    size_t n = 0;
    struct http_pair p;
    for (uint32_t before = 0; http_pairs_next(kind, text, len, &at, &p); before = at) {
        assert(at > before && at <= len);
        check_span(text, before, at, p.name, separators[kind]);
        check_span(text, before, at, p.value, separators[kind]);
        assert(kind == HTTP_PAIRS_QUERY || p.name.len > 0);
        assert(p.value.at >= p.name.at + p.name.len);
        memcpy(out + n, text + p.name.at, p.name.len);
        n += p.name.len;
        if (joins[kind])
            out[n++] = joins[kind];
        memcpy(out + n, text + p.value.at, p.value.len);
        n += p.value.len;
        out[n++] = separators[kind];
    }
    assert(at == len);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum http_pairs kind = (enum http_pairs)(data[0] % KINDS);
    uint32_t len = (uint32_t)size - 1;
    char *text = malloc(len + 1u);
    char *once = malloc(2 * (size_t)len + 2);
    char *twice = malloc(4 * (size_t)len + 4);
    assert(text && once && twice);
    memcpy(text, data + 1, len);
    size_t n = rewrite(kind, text, len, once);
    size_t m = rewrite(kind, once, (uint32_t)n, twice);
    /* A value may lose quotes, blanks, or the one blank behind a colon, once more. */
    assert(m <= n);
    bool stable = kind == HTTP_PAIRS_QUERY || kind == HTTP_PAIRS_LIST;
    assert(!stable || (m == n && memcmp(once, twice, n) == 0));
    free(text);
    free(once);
    free(twice);
    return 0;
}
