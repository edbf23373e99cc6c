/* URLs of WebSockets. The oracles: what was serialized is printable ASCII, its parts lie inside it
 * and make it up, and it is the same when it is parsed again; a refusal says why and leaves
 * nothing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/ws_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *at(const struct ws_url *u, struct ws_url_part part)
{
    assert(part.at <= u->text.len && part.len <= u->text.len - part.at);
    return (const char *)u->text.data + part.at;
}

static void check(const struct ws_url *u)
{
    const char *target = at(u, u->target);
    const char *host = at(u, u->host);
    for (size_t i = 0; i < u->text.len; i++)
        assert(u->text.data[i] > ' ' && u->text.data[i] < 0x7f && u->text.data[i] != '#');
    assert(u->target.len > 0 && target[0] == '/');
    assert(u->authority.at + u->authority.len == u->target.at);
    assert(u->target.at + u->target.len == u->text.len);
    assert(u->host.len > 0 && u->host.at >= u->authority.at);
    assert(!memchr(host, '/', u->host.len) && !memchr(host, '@', u->host.len));
    assert(u->query.len == 0 || *at(u, u->query) == '?');
    assert(u->userinfo.len == 0 || at(u, u->userinfo)[u->userinfo.len] == '@');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    struct ws_url once;
    struct ws_url twice;
    char *text = malloc(size ? size : 1);
    assert(text);
    memcpy(text, data, size);
    int status = ws_url_parse(&once, text, size, &why);
    free(text);
    assert(status == 0 || (status == ERR_INVALID && why && !once.text.data));
    if (status == 0) {
        check(&once);
        status = ws_url_parse(&twice, (const char *)once.text.data, once.text.len, &why);
        assert(status == 0 && twice.text.len == once.text.len);
        assert(memcmp(twice.text.data, once.text.data, once.text.len) == 0);
        assert(twice.port == once.port && twice.secure == once.secure);
        assert(twice.is_address == once.is_address);
        ws_url_deinit(&twice);
    }
    ws_url_deinit(&once);
    return 0;
}
