/* PROXY headers. The oracles: a header that comes in pieces gives what the whole one gives; what
 * follows a header makes no difference; nothing is asked for beyond the longest header.
 *
 * Input: the size of a piece, and then what a proxy sends. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parses a block of exactly its size. */
static long parse(struct proxy_header *out, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert(copy);
    memcpy(copy, data, len);
    memset(out, 0xa5, sizeof(*out)); /* it need not be clean */
    long result = proxy_header_parse(out, copy, len);
    free(copy);
    assert(result == ERR_PROTOCOL || (result >= 0 && (size_t)result <= len));
    assert((result == ERR_PROTOCOL) == (out->why != NULL));
    assert(result <= PROXY_HEADER_BYTES_MAX);
    assert(result != 0 || len < PROXY_HEADER_BYTES_MAX);
    return result;
}

static void check_same(const struct proxy_header *a, const struct proxy_header *b)
{
    assert(a->source == b->source && a->port == b->port && a->why == b->why);
    assert(memcmp(a->address, b->address, sizeof(a->address)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = data[0] + 1u;
    data++;
    size--;
    struct proxy_header whole, other;
    long result = parse(&whole, data, size);
    long pieces = 0;
    for (size_t given = 0; given < size && pieces == 0;) {
        given = size - given < piece ? size : given + piece;
        pieces = parse(&other, data, given);
    }
    if (size > 0) {
        assert(pieces == result);
        check_same(&whole, &other);
    }
    if (result > 0) {
        assert(parse(&other, data, (size_t)result) == result);
        check_same(&whole, &other);
        assert((whole.source == PROXY_SOURCE_IPV4 || whole.source == PROXY_SOURCE_IPV6) ||
               whole.port == 0);
    }
    return 0;
}
