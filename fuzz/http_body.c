/* Bodies. The oracles: a body that comes in pieces gives the same payload, the same answer and the
 * same end as the whole one; no payload passes the limit; every run lies inside the input.
 *
 * Input: settings, the size of a piece, the length or limit, and then the body. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHUNKED = 1, NO_LIMIT = 2, SETTINGS_LEN = 3 };

struct reading {
    struct buffer payload;
    size_t consumed;
    int result;
    const char *why;
};

/* Reads one piece; true while more is wanted. */
static bool read_piece(struct reading *r, struct http_body *b, const char *piece, size_t len)
{
    const char *at = piece;
    size_t left = len;
    do {
        const char *out = NULL;
        size_t out_len = 0;
        r->result = http_body_read(b, &at, &left, &out, &out_len);
        assert(at + left == piece + len);
        if (r->result != 1)
            continue;
        assert(out_len > 0 && out >= piece && out + out_len == at);
        int err = buffer_append(&r->payload, out, out_len);
        assert(err == 0);
    } while (r->result == 1);
    assert(r->result != 0 || left == 0);
    r->consumed += len - left;
    return r->result == 0;
}

static void read_pieces(struct reading *r, const char *data, size_t len, size_t piece,
                        const struct http_body *start)
{
    struct http_body b = *start;
    *r = (struct reading){0};
    for (size_t at = 0; at < len;) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);
        assert(copy);
        memcpy(copy, data + at, n);
        at += n;
        bool more = read_piece(r, &b, copy, n);
        free(copy);
        if (!more)
            break;
    }
    r->why = b.why;
    assert(r->payload.len <= b.total && b.total <= b.max);
    assert((r->result < 0) == !!b.why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SETTINGS_LEN)
        return 0;
    struct http_body start;
    struct reading whole, pieces;
    uint64_t max = data[0] & NO_LIMIT ? UINT64_MAX : data[2] * 4U;
    int err = http_body_start(&start, data[0] & CHUNKED, data[2], max);
    assert(err == 0);
    const char *body = (const char *)data + SETTINGS_LEN;
    size_t len = size - SETTINGS_LEN;
    read_pieces(&whole, body, len, len + 1, &start);
    read_pieces(&pieces, body, len, data[1] % 32 + 1U, &start);
    assert(whole.result == pieces.result && whole.why == pieces.why);
    assert(whole.consumed == pieces.consumed && whole.payload.len == pieces.payload.len);
    assert(whole.payload.len == 0 ||
           memcmp(whole.payload.data, pieces.payload.data, whole.payload.len) == 0);
    if (!(data[0] & CHUNKED) && whole.result == 2)
        assert(whole.payload.len == data[2] && whole.consumed == data[2]);
    buffer_deinit(&whole.payload);
    buffer_deinit(&pieces.payload);
    return 0;
}
