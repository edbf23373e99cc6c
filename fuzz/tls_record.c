/* Records of TLS 1.3 behind the handshake. The oracles: bytes that come whole and bytes that come in
 * pieces give the same data and the same end; data is what the peer sealed as such, up to the first
 * byte that it did not seal, and no more; and the peer opens what is answered, changes of keys
 * included.
 *
 * Input: one byte for the suite and the number of cipher contexts, one for the number of cuts, the
 * cuts, and then steps that make the wire: a fuzzer would never find a tag by chance. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "transport/tls_traffic.h"

enum { CUTS_MAX = 7, WIRE_MAX = 1 << 17, HEADER = TLS_RECORD_HEADER_BYTES };
enum step { DATA, LONG_DATA, KEY_UPDATE, MESSAGE, ANY, RAW, FLIP, STEPS };

struct input {
    const uint8_t *data;
    size_t len;
};

/* The peer, and what it has said. */
struct peer {
    struct tls_ciphers *ciphers;
    struct tls_keys in, out;
    struct buffer wire;
    struct buffer data; /* sealed as data */
    size_t openable;    /* of that: it has sealed all that is before */
    bool raw;           /* something that it has not sealed came */
};

struct outcome {
    struct buffer data;
    bool ended, failed;
    uint8_t alert, told;
};

static const uint8_t peer_secret[TLS_SECRET_MAX] = "what the peer's keys are made of, 48 bytes";
static const uint8_t own_secret[TLS_SECRET_MAX] = "what the server's keys are made of, 48 bytes";

static uint8_t next_byte(struct input *in)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->data++;
}

static struct input next_bytes(struct input *in, size_t n)
{
    struct input part = {in->data, n < in->len ? n : in->len};
    in->data += part.len;
    in->len -= part.len;
    return part;
}

static void append(struct buffer *b, const void *data, size_t len)
{
    if (len > 0 && buffer_append(b, data, len))
        abort();
}

/* ---- the wire ---- */

static void say(struct peer *p, uint8_t type, const void *data, size_t len)
{
    uint8_t out[TLS_RECORD_PLAIN_MAX + TLS_RECORD_EXTRA];
    long n = tls_record_seal_bytes(&p->out, p->ciphers, (enum tls_content)type, data, len, out);
    assert(n == (long)(len + TLS_RECORD_EXTRA));
    append(&p->wire, out, (size_t)n);
    /* A type of 0 is padding (RFC 8446 §5.4): the last byte that is none is the type. */
    for (const uint8_t *text = data; type == 0 && len > 0;)
        type = text[--len];
    if (type == TLS_CONTENT_DATA)
        append(&p->data, data, len);
    if (!p->raw)
        p->openable = p->data.len;
}

static void say_long(struct peer *p, struct input *in)
{
    uint8_t text[TLS_RECORD_PLAIN_MAX];
    size_t len = 64u * (1u + next_byte(in));
    memset(text, next_byte(in), sizeof text);
    say(p, TLS_CONTENT_DATA, text, len);
}

static void say_key_update(struct peer *p, uint8_t request)
{
    uint8_t message[TLS_KEY_UPDATE_BYTES] = {24, 0, 0, 1, request & 1};
    say(p, TLS_CONTENT_HANDSHAKE, message, sizeof message);
    int failed = tls_keys_update(&p->out, p->ciphers);
    assert(!failed);
    (void)failed;
}

static void flip(struct peer *p, uint8_t where, uint8_t mask)
{
    if (p->wire.len == 0 || mask == 0)
        return;
    size_t at = p->wire.len - 1 - where % p->wire.len;
    p->wire.data[at] ^= mask;
}

static void say_next(struct peer *p, struct input *in)
{
    uint8_t step = next_byte(in) % STEPS;
    struct input part;
    switch ((enum step)step) {
    case DATA:
        part = next_bytes(in, next_byte(in));
        say(p, TLS_CONTENT_DATA, part.data, part.len);
        break;
    case LONG_DATA:
        say_long(p, in);
        break;
    case KEY_UPDATE:
        say_key_update(p, next_byte(in));
        break;
    case MESSAGE:
        part = next_bytes(in, next_byte(in) % 8);
        say(p, TLS_CONTENT_HANDSHAKE, part.data, part.len);
        break;
    case ANY:
        step = next_byte(in);
        part = next_bytes(in, next_byte(in) % 8);
        say(p, step, part.data, part.len);
        break;
    case RAW:
        part = next_bytes(in, next_byte(in));
        append(&p->wire, part.data, part.len);
        p->raw = p->raw || part.len > 0;
        break;
    default:
        step = next_byte(in);
        flip(p, step, next_byte(in));
        break;
    }
}

/* ---- reading ---- */

/* Opens records in a block of exactly their size, behind the gap that tls_traffic_open wants. Returns
 * how many bytes were used. */
static size_t feed(struct tls_traffic *t, const uint8_t *data, size_t len, struct outcome *o)
{
    struct tls_opened opened;
    uint8_t *into = malloc(TLS_RECORD_BODY_MAX + len);
    assert(into);
    memcpy(into + TLS_RECORD_BODY_MAX, data, len);
    tls_traffic_open(t, into + TLS_RECORD_BODY_MAX, len, into, &opened);
    assert(opened.used <= len && opened.len + HEADER * (opened.len > 0) <= opened.used);
    assert(!opened.failed || opened.alert || opened.told);
    append(&o->data, into, opened.len);
    o->ended = opened.ended;
    o->failed = opened.failed;
    o->alert = opened.alert;
    o->told = opened.told;
    free(into);
    return opened.used;
}

static void feed_in_pieces(struct tls_traffic *t, const struct buffer *wire, const uint8_t *cuts,
                           size_t count, struct outcome *o)
{
    size_t from = 0, to = 0;
    for (size_t i = 0; to < wire->len && !o->ended && !o->failed; i++) {
        uint8_t cut = cuts[i % count];
        size_t n = cut < 128 ? cut + 1u : (cut - 127u) * 256u;
        to = n < wire->len - to ? to + n : wire->len;
        from += feed(t, wire->data + from, to - from, o);
        /* Never more than one record waits. */
        assert(o->ended || o->failed || to - from < TLS_RECORD_MAX);
    }
}

static void check_data(const struct peer *p, const struct outcome *o)
{
    assert(o->data.len <= p->openable);
    assert(o->data.len == 0 || memcmp(o->data.data, p->data.data, o->data.len) == 0);
}

/* The peer opens everything that the server says now. */
static void check_answer(struct peer *p, struct tls_traffic *t)
{
    static const uint8_t text[] = "an answer";
    struct iovec pieces[] = {{(void *)text, 3}, {NULL, 0}, {(void *)(text + 3), sizeof text - 3}};
    struct tls_pieces at = {.piece = pieces, .left = 3};
    uint8_t out[TLS_SEALED_MAX], into[TLS_RECORD_BODY_MAX];
    bool due = t->update_due;
    long len = tls_traffic_seal(t, &at, out);
    assert(len > 0 && at.left == 0 && at.taken == sizeof text && !t->update_due);
    struct tls_record record = {0};
    for (long i = 0; i < len;) {
        int body = tls_record_body(out + i);
        assert(body > 0 && i + HEADER + body <= len);
        int failed = tls_record_open(&p->in, p->ciphers, out + i, (size_t)body, into, &record);
        assert(!failed && (record.type == TLS_CONTENT_HANDSHAKE) == due);
        if (due)
            failed = tls_keys_update(&p->in, p->ciphers);
        assert(!failed);
        (void)failed;
        due = false;
        i += HEADER + body;
    }
    assert(record.len == sizeof text && memcmp(into, text, sizeof text) == 0);
}

static void check_same(const struct outcome *first, const struct outcome *second)
{
    assert(first->data.len == second->data.len);
    assert(first->ended == second->ended && first->failed == second->failed);
    assert(first->alert == second->alert && first->told == second->told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t settings = next_byte(&in), cuts[CUTS_MAX + 1];
    unsigned suite = 0x1301u + settings % TLS_SUITES;
    size_t count = 1u + next_byte(&in) % CUTS_MAX;
    for (size_t i = 0; i < count; i++)
        cuts[i] = next_byte(&in);

    struct peer p = {.ciphers = tls_ciphers_new(1u + (settings >> 4) % 5)};
    struct tls_traffic whole, pieces;
    if (!p.ciphers || tls_keys_init(&p.out, p.ciphers, suite, true, peer_secret) ||
        tls_keys_init(&p.in, p.ciphers, suite, false, own_secret) ||
        tls_traffic_init(&whole, p.ciphers, suite, peer_secret, own_secret) ||
        tls_traffic_init(&pieces, p.ciphers, suite, peer_secret, own_secret))
        abort();
    while (in.len > 0 && p.wire.len < WIRE_MAX)
        say_next(&p, &in);

    struct outcome first = {0}, second = {0};
    if (p.wire.len > 0) {
        feed(&whole, p.wire.data, p.wire.len, &first);
        feed_in_pieces(&pieces, &p.wire, cuts, count, &second);
    }
    check_data(&p, &first);
    check_data(&p, &second);
    check_same(&first, &second);
    assert(whole.update_due == pieces.update_due);
    check_answer(&p, &whole);

    buffer_deinit(&first.data);
    buffer_deinit(&second.data);
    buffer_deinit(&p.wire);
    buffer_deinit(&p.data);
    tls_traffic_deinit(&whole);
    tls_traffic_deinit(&pieces);
    tls_keys_deinit(&p.in, p.ciphers);
    tls_keys_deinit(&p.out, p.ciphers);
    tls_ciphers_free(p.ciphers);
    return 0;
}
