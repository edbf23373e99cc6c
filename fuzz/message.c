/* Frames and messages. The oracle: input that comes whole gives the same messages and the same
 * error as input that comes in pieces, in both roles, with compression and without, and while
 * another reader borrows the same inflater.
 *
 * Input: one byte of settings, one of limits, one for the number of cuts, the cuts, and then either
 * the bytes of the wire or (BUILT) steps that make frames which are mostly right, so that the
 * fuzzer need not find masks and DEFLATE by chance. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/close_code.h"
#include "protocol/deflate.h"
#include "protocol/frame.h"
#include "protocol/mask.h"
#include "protocol/message.h"

enum {
    FROM_CLIENT = 1,
    COMPRESSED = 2,
    KEEPS_CONTEXT = 4,
    SMALL_WINDOW = 8,
    BUILT = 16,
    DIRECT = 32, /* message_space where it offers some */
    LENT = 64,   /* readers borrow their inflater */
    CUTS_MAX = 15
};

struct input {
    const uint8_t *data;
    size_t len;
};

struct cuts {
    uint8_t size[CUTS_MAX + 1];
    size_t count;
};

static uint8_t next_byte(struct input *in)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->data++;
}

static void append(struct buffer *b, const void *data, size_t len)
{
    int err = buffer_append(b, data, len);
    assert(!err);
    (void)err;
}

/* ---- The wire ---- */

static void build_frame(struct input *in, const struct message_rules *rules, struct deflater *d,
                        struct buffer *wire)
{
    uint8_t first = next_byte(in);
    size_t len = next_byte(in);
    size_t times = first & 0x20 ? 1u + next_byte(in) : 1; /* long payloads from few bytes */
    len = len < in->len ? len : in->len;
    struct buffer payload = {0};
    for (size_t i = 0; i < times; i++)
        append(&payload, in->data, len);
    in->data += len;
    in->len -= len;
    if (first & 0x40 && first & 0x10) {
        struct buffer compressed = {0};
        int err =
            deflater_message(d, payload.data, payload.len, rules->inflate_context, &compressed);
        assert(!err);
        (void)err;
        buffer_deinit(&payload);
        payload = compressed;
    }
    struct frame f = {
        .len = payload.len,
        .key = {0x37, 0xfa, 0x21, 0x3d},
        .opcode = first & 0x0f,
        .fin = first & 0x80,
        .rsv1 = first & 0x40,
        .masked = rules->from_client,
    };
    uint8_t head[FRAME_HEADER_MAX];
    append(wire, head, frame_encode(head, &f));
    if (f.masked && payload.len > 0)
        mask_apply(payload.data, payload.len, f.key, 0);
    append(wire, payload.data, payload.len);
    buffer_deinit(&payload);
}

static void build_wire(struct input *in, const struct message_rules *rules, struct buffer *wire)
{
    struct deflater *d = deflater_new(rules->inflate_bits, 6, 8);
    assert(d);
    while (in->len > 0 && wire->len < 1 << 18)
        build_frame(in, rules, d, wire);
    deflater_free(d);
}

/* ---- Reading, with an account of all that came ---- */

static void note_message(struct buffer *account, const struct message *m,
                         const struct message_rules *rules)
{
    assert(m->len == 0 || m->data);
    assert(m->kind != MESSAGE_CLOSE || m->close_code == CLOSE_NO_STATUS ||
           close_code_valid(m->close_code));
    assert(m->kind < MESSAGE_CLOSE ? m->len <= rules->message_bytes || rules->inflated_bytes != 0
                                   : m->len <= FRAME_CONTROL_MAX);
    append(account, &m->kind, sizeof(m->kind));
    append(account, &m->len, sizeof(m->len));
    if (m->kind == MESSAGE_CLOSE)
        append(account, &m->close_code, sizeof(m->close_code));
    append(account, m->data, m->len);
}

/* Reads all messages of one piece. 0, or the error, which goes into the account with its text. */
static int read_piece(struct message_reader *r, const struct message_rules *rules, uint8_t *data,
                      size_t len, struct buffer *account)
{
    for (;;) {
        struct message m;
        const char *why = NULL;
        int err = message_read(r, rules, &data, &len, &m, &why);
        if (!err) {
            assert(len == 0);
            return 0;
        }
        if (err < 0) {
            assert(err != ERR_MEMORY && why);
            append(account, &err, sizeof(err));
            append(account, why, strlen(why));
            return err;
        }
        note_message(account, &m, rules);
        free(m.block);
    }
}

/* Memory follows what came, not what a header announces. */
static void check_held(const struct message_reader *r, const struct message_rules *rules,
                       size_t fed)
{
    size_t inflated = rules->inflated_bytes ? rules->inflated_bytes : rules->message_bytes;
    size_t limit = 1024 + 96 * 1024 + 4 * fed + (rules->compressed ? 2 * inflated : 0);
    assert(message_held(r) <= limit);
    (void)limit;
}

/* In a block of exactly this size, so that a read past it is seen. */
static int feed(struct message_reader *r, const struct message_rules *rules, const uint8_t *data,
                size_t len, struct buffer *account)
{
    uint8_t *piece = malloc(len + (len == 0));
    assert(piece);
    memcpy(piece, data, len);
    int err = read_piece(r, rules, piece, len, account);
    free(piece);
    return err;
}

static int feed_direct(struct message_reader *r, const struct message_rules *rules,
                       struct input *left, struct buffer *account)
{
    uint8_t *into;
    size_t room = message_space(r, &into);
    size_t n = room < left->len ? room : left->len;
    if (n == 0)
        return 0;
    memcpy(into, left->data, n);
    left->data += n;
    left->len -= n;
    message_filled(r, n);
    return read_piece(r, rules, NULL, 0, account);
}

static void read_whole(const struct message_rules *rules, const struct buffer *wire,
                       struct buffer *account)
{
    struct message_reader r = {0};
    int err = feed(&r, rules, wire->data, wire->len, account);
    (void)err;
    message_reader_deinit(&r);
}

/* Another reader of the same rules, while the first one is in the middle. */
static void read_between(const struct message_rules *rules, const struct buffer *wire,
                         const struct buffer *whole)
{
    struct buffer account = {0};
    read_whole(rules, wire, &account);
    assert(account.len == whole->len);
    assert(account.len == 0 || memcmp(account.data, whole->data, account.len) == 0);
    buffer_deinit(&account);
}

static void read_in_pieces(const struct message_rules *rules, const struct buffer *wire,
                           const struct cuts *cuts, bool direct, const struct buffer *whole,
                           struct buffer *account)
{
    struct message_reader r = {0};
    struct input left = {wire->data, wire->len};
    int err = 0;
    for (size_t i = 0; left.len > 0 && !err; i++) {
        if (direct) {
            err = feed_direct(&r, rules, &left, account);
            if (err)
                break;
        }
        uint8_t size = cuts->size[i % cuts->count];
        size_t n = size < 128 ? size + 1u : (size - 127u) * 512u;
        n = n < left.len ? n : left.len;
        err = n == 0 ? 0 : feed(&r, rules, left.data, n, account);
        left.data += n;
        left.len -= n;
        if (!err)
            check_held(&r, rules, wire->len - left.len);
        if (rules->spare && (i == 0 || i == 3))
            read_between(rules, wire, whole);
    }
    message_reader_deinit(&r);
}

static struct message_rules rules_from(uint8_t settings, uint8_t limits)
{
    return (struct message_rules){
        .from_client = settings & FROM_CLIENT,
        .compressed = settings & COMPRESSED,
        .inflate_context = settings & KEEPS_CONTEXT,
        .inflate_bits = settings & SMALL_WINDOW ? 9 : 15,
        .message_bytes = 1u << (limits & 0x0f) << (limits & 0x80 ? 8 : 4),
        .inflated_bytes = limits & 0x10 ? 1u << (4 + (limits >> 5 & 3) * 5) : 0,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t settings = next_byte(&in);
    struct message_rules rules = rules_from(settings, next_byte(&in));
    struct cuts cuts = {.count = 1u + next_byte(&in) % CUTS_MAX};
    for (size_t i = 0; i < cuts.count; i++)
        cuts.size[i] = next_byte(&in);
    struct buffer wire = {0};
    if (settings & BUILT)
        build_wire(&in, &rules, &wire);
    else
        append(&wire, in.data, in.len);
    if (wire.len == 0)
        return 0;
    struct inflater *spare = NULL;
    rules.spare = settings & LENT ? &spare : NULL;
    struct buffer whole = {0};
    struct buffer pieces = {0};
    read_whole(&rules, &wire, &whole);
    read_in_pieces(&rules, &wire, &cuts, settings & DIRECT, &whole, &pieces);
    /* zlib may or may not see a distance beyond a small window: see deflate.h. */
    if (!rules.compressed || rules.inflate_bits == 15 || !rules.inflate_context) {
        assert(whole.len == pieces.len);
        assert(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
    }
    inflater_free(spare);
    buffer_deinit(&whole);
    buffer_deinit(&pieces);
    buffer_deinit(&wire);
    return 0;
}
