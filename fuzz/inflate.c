/* Inflating. The oracles: the output never passes max_len and memory follows it; input in pieces
 * gives what the whole input gives, and so does inflater_message; what the deflaters made comes
 * back, message after message.
 *
 * Input: settings, the size of a piece, two bytes of max_len, and then the data: DEFLATE as it is,
 * or (ROUND_TRIP) messages to compress, each after a byte with its length. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/deflate.h"

enum { ROUND_TRIP = 1, KEEPS_CONTEXT = 2, REPEATED = 4, MESSAGES_MAX = 32 };

/* Inflates data in pieces, each in a block of exactly its size. */
static int inflate_pieces(struct inflater *i, const uint8_t *data, size_t len, size_t piece,
                          size_t max_len, struct buffer *out)
{
    size_t at = 0;
    do {
        size_t n = len - at < piece ? len - at : piece;
        uint8_t *copy = malloc(n + (n == 0));
        assert(copy);
        if (n > 0)
            memcpy(copy, data + at, n);
        at += n;
        int err = inflater_push(i, copy, n, at == len, max_len, out);
        free(copy);
        assert(out->len <= max_len);
        assert(out->cap <= max_len + max_len / 2 + 512);
        if (err)
            return err;
    } while (at < len);
    return 0;
}

/* Inflates data at once, which leaves it as it was. */
static int inflate_at_once(struct inflater *i, const uint8_t *data, size_t len, size_t max_len,
                           struct buffer *out)
{
    uint8_t *copy = malloc(len + (len == 0));
    assert(copy);
    if (len > 0)
        memcpy(copy, data, len);
    int err = inflater_message(i, copy, len, max_len, out);
    assert(len == 0 || memcmp(copy, data, len) == 0);
    assert(out->len <= max_len);
    free(copy);
    return err;
}

static void check_inflating(const uint8_t *data, size_t len, size_t piece, size_t max_len)
{
    struct buffer outs[3] = {{0}, {0}, {0}};
    int results[3];
    for (int way = 0; way < 3; way++) {
        struct inflater *i = inflater_new(15);
        assert(i);
        results[way] = way == 2 ? inflate_at_once(i, data, len, max_len, &outs[way])
                                : inflate_pieces(i, data, len, way == 0 ? len + 1 : piece, max_len,
                                                 &outs[way]);
        inflater_free(i);
        assert(results[way] == results[0]);
        assert(outs[way].len == outs[0].len);
        assert(outs[0].len == 0 || memcmp(outs[way].data, outs[0].data, outs[0].len) == 0);
    }
    for (int way = 0; way < 3; way++)
        buffer_deinit(&outs[way]);
}

struct pair {
    struct deflater *deflater;
    struct deflaters *without_context;
    int bits;
    int level;
    int memory_level;
    struct inflater *inflater;
    bool keeps_context;
    size_t piece;
};

static void check_message(struct pair *p, const uint8_t *data, size_t len)
{
    struct buffer compressed = {0};
    struct buffer back = {0};
    int err = p->keeps_context ? deflater_message(p->deflater, data, len, true, &compressed)
                               : deflaters_message(p->without_context, p->bits, p->level,
                                                   p->memory_level, data, len, &compressed);
    assert(!err);
    if (!p->keeps_context) {
        inflater_reset(p->inflater);
        check_inflating(compressed.data, compressed.len, p->piece, len);
    }
    /* At its own length the limit lets it pass. */
    err = inflate_pieces(p->inflater, compressed.data, compressed.len, p->piece, len, &back);
    assert(!err);
    assert(back.len == len);
    assert(len == 0 || memcmp(back.data, data, len) == 0);
    if (len > 0) {
        struct inflater *strict = inflater_new(15);
        struct buffer cut = {0};
        assert(strict);
        err = inflate_pieces(strict, compressed.data, compressed.len, p->piece, len - 1, &cut);
        assert(err == ERR_TOO_BIG || p->keeps_context);
        inflater_free(strict);
        buffer_deinit(&cut);
    }
    buffer_deinit(&compressed);
    buffer_deinit(&back);
}

static void check_messages(struct pair *p, const uint8_t *data, size_t len, bool repeated)
{
    for (int count = 0; len > 0 && count < MESSAGES_MAX; count++) {
        size_t n = *data++;
        len--;
        n = n < len ? n : len;
        struct buffer message = {0};
        for (int i = 0; i < (repeated ? 40 : 1); i++) {
            int err = buffer_append(&message, data, n);
            assert(!err);
            (void)err;
        }
        check_message(p, message.data, message.len);
        buffer_deinit(&message);
        data += n;
        len -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint8_t settings = data[0];
    size_t piece = 1u + data[1];
    size_t max_len = (size_t)data[2] << 8 | data[3];
    data += 4;
    size -= 4;
    if (!(settings & ROUND_TRIP)) {
        check_inflating(data, size, piece, max_len);
        return 0;
    }
    int bits = 9 + (settings >> 4 & 7) % 7;
    int level = 1 + data[-1] % 9;
    int memory_level = 1 + data[-2] % 9;
    struct deflaters without_context = {0};
    struct pair p = {
        .deflater = deflater_new(bits, level, memory_level),
        .without_context = &without_context,
        .bits = bits,
        .level = level,
        .memory_level = memory_level,
        .inflater = inflater_new(bits),
        .keeps_context = settings & KEEPS_CONTEXT,
        .piece = piece,
    };
    assert(p.deflater && p.inflater);
    check_messages(&p, data, size, settings & REPEATED);
    deflater_free(p.deflater);
    deflaters_deinit(&without_context);
    inflater_free(p.inflater);
    return 0;
}
