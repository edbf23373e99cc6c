/* Routes. The oracle: the tree finds what trying each pattern on its own finds, and the parameters
 * are what the pattern that won says of the path.
 *
 * Input: a byte for the method; lines of a byte of methods and a pattern; the last line is the
 * path. */
#include "protocol/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATTERNS_MAX = 12, PATH_MAX_BYTES = 2048 };

struct pattern {
    const char *text;
    size_t len;
    uint32_t methods;
};

struct app {
    struct pattern patterns[PATTERNS_MAX];
    uint32_t count;
    struct router *router;
};

static size_t segment_len(const char *text, size_t len)
{
    const char *slash = memchr(text, '/', len);
    return slash ? (size_t)(slash - text) : len;
}

static bool same_literal(const char *pattern, size_t pattern_len, const char *path, size_t path_len)
{
    static char a[PATH_MAX_BYTES];
    static char b[PATH_MAX_BYTES];
    long n = url_decode(a, pattern, pattern_len, 0);
    long m = url_decode(b, path, path_len, 0);
    return n >= 0 && n == m && memcmp(a, b, (size_t)n) == 0;
}

/* Does the pattern fit the path? Both are behind a slash. */
static bool fits(const char *pattern, size_t pattern_len, const char *path, size_t path_len)
{
    for (;;) {
        if (pattern_len > 0 && *pattern == '*')
            return true;
        size_t n = segment_len(pattern, pattern_len);
        size_t m = segment_len(path, path_len);
        if (n > 0 && *pattern == ':' ? m == 0 : !same_literal(pattern, n, path, m))
            return false;
        if (n == pattern_len || m == path_len)
            return n == pattern_len && m == path_len;
        pattern += n + 1;
        pattern_len -= n + 1;
        path += m + 1;
        path_len -= m + 1;
    }
}

static void add(struct app *app, const uint8_t *line, size_t len)
{
    const char *why = NULL;
    if (len < 1 || app->count == PATTERNS_MAX || len > PATH_MAX_BYTES)
        return;
    struct pattern p = {(const char *)line + 1, len - 1, line[0]};
    int status = router_add(app->router, p.text, p.len, p.methods, app->count, &why);
    assert(status == 0 || (status == ERR_INVALID && why));
    if (status == 0)
        app->patterns[app->count++] = p;
}

static void check(const struct app *app, const char *path, size_t len, uint32_t method)
{
    struct router_match found;
    struct router_match alone;
    uint32_t allowed = 0;
    bool any = false;
    int status = router_match(app->router, path, len, method, &found);
    for (uint32_t i = 0; i < app->count && len > 0 && path[0] == '/'; i++) {
        const struct pattern *p = &app->patterns[i];
        if (!fits(p->text + 1, p->len - 1, path + 1, len - 1))
            continue;
        allowed |= p->methods | (p->methods & HTTP_GET ? (uint32_t)HTTP_HEAD : 0);
        any = any || p->methods & method || (method == HTTP_HEAD && p->methods & HTTP_GET);
    }
    assert(found.allowed == allowed);
    assert(status == (any ? 0 : ERR_NOT_FOUND));
    if (status < 0)
        return;
    const struct pattern *won = &app->patterns[found.target];
    assert(found.target < app->count);
    assert(won->methods & method || (method == HTTP_HEAD && won->methods & HTTP_GET));
    assert(fits(won->text + 1, won->len - 1, path + 1, len - 1));
    router_params(won->text, won->len, path, len, &alone);
    assert(alone.param_count == found.param_count);
    for (uint32_t i = 0; i < found.param_count; i++) {
        assert(found.params[i].at <= len && found.params[i].len <= len - found.params[i].at);
        assert(found.params[i].at == alone.params[i].at);
        assert(found.params[i].len == alone.params[i].len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct app app = {.router = router_new()};
    assert(app.router);
    uint32_t method = 1u << (data[0] % 8);
    data++;
    size--;
    const uint8_t *newline;
    while (size > 0 && (newline = memchr(data, '\n', size))) {
        size_t len = (size_t)(newline - data);
        add(&app, data, len);
        data += len + 1;
        size -= len + 1;
    }
    if (size <= PATH_MAX_BYTES)
        check(&app, (const char *)data, size, method);
    router_free(app.router);
    return 0;
}
