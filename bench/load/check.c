#include "check.h"

#include "fail.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HEAD = 14 + 64, TAIL = 64, REPLY_ROOM = 1 << 16 };

/* Compares the part of [begin, end) that lies in [at, at + len). */
static void compare(const uint8_t *frame, size_t begin, size_t end, size_t at, const uint8_t *data,
                    size_t len)
{
    size_t from = begin > at ? begin : at;
    size_t to = end < at + len ? end : at + len;
    if (from < to && memcmp(frame + from, data + (from - at), to - from) != 0) {
        fail("a reply differs from what was sent");
    }
}

unsigned check_exact(struct check *c, struct cycle *expected, const uint8_t *data, size_t len)
{
    unsigned done = 0;
    while (len > 0) {
        const uint8_t *frame = expected->bytes + expected->offset[c->message];
        size_t size = expected->offset[c->message + 1] - expected->offset[c->message];
        size_t part = size - c->at < len ? size - c->at : len;
        cycle_number(expected, c->message, c->number);
        compare(frame, 0, size < HEAD ? size : HEAD, c->at, data, part);
        compare(frame, size > TAIL ? size - TAIL : 0, size, c->at, data, part);
        data += part;
        len -= part;
        c->at += part;
        if (c->at == size) {
            c->at = 0;
            c->message = (c->message + 1) % expected->count;
            c->number += c->step;
            done++;
        }
    }
    return done;
}

struct check_inflate {
    z_stream z;
    uint8_t *const *payloads;
    const size_t *sizes;
    unsigned count;
    unsigned message;
    uint64_t seen_bytes;
    size_t kept; /* bytes of an unfinished frame in room */
    uint8_t room[REPLY_ROOM];
};

struct check_inflate *check_inflate_new(uint8_t *const *payloads, const size_t *sizes,
                                        unsigned count)
{
    struct check_inflate *c = calloc(1, sizeof *c);
    if (!c || inflateInit2(&c->z, -15) != Z_OK) {
        fail("out of memory");
    }
    c->payloads = payloads;
    c->sizes = sizes;
    c->count = count;
    return c;
}

static void check_message(struct check_inflate *c, uint8_t *payload, size_t size)
{
    static uint8_t tail[4] = {0, 0, 0xff, 0xff}; /* RFC 7692 §7.2.2 */
    uint8_t text[REPLY_ROOM];
    c->z.next_out = text;
    c->z.avail_out = sizeof text;
    uint8_t *parts[2] = {payload, tail};
    size_t lengths[2] = {size, sizeof tail};
    for (int i = 0; i < 2; i++) {
        c->z.next_in = parts[i];
        c->z.avail_in = (unsigned)lengths[i];
        int result = inflate(&c->z, Z_SYNC_FLUSH);
        if ((result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) ||
            (c->z.avail_in != 0 && result != Z_STREAM_END)) {
            fail("a reply does not inflate");
        }
    }
    size_t got = sizeof text - c->z.avail_out;
    if (got != c->sizes[c->message] || memcmp(text, c->payloads[c->message], got) != 0) {
        fail("a reply differs from what was sent");
    }
    inflateReset(&c->z); /* the server keeps no context */
    c->message = (c->message + 1) % c->count;
}

/* Size of the whole frame at data, 0 when it is not all there. */
static size_t whole_frame(const uint8_t *data, size_t len, size_t *head)
{
    if (len < 2) {
        return 0;
    }
    if (data[0] != 0xc1 || data[1] > 126) {
        fail(data[0] == 0x81 ? "a reply is not compressed" : "an unexpected frame");
    }
    *head = data[1] < 126 ? 2 : 4;
    if (len < *head) {
        return 0;
    }
    size_t size = *head + (data[1] < 126 ? data[1] : (size_t)data[2] << 8 | data[3]);
    return size <= len ? size : 0;
}

unsigned check_inflated(struct check_inflate *c, const uint8_t *data, size_t len)
{
    unsigned done = 0;
    size_t used = 0;
    size_t head = 0;
    if (len > sizeof c->room - c->kept) {
        fail("more reply bytes than messages in flight can give");
    }
    memcpy(c->room + c->kept, data, len);
    c->kept += len;
    c->seen_bytes += len;
    for (size_t n; (n = whole_frame(c->room + used, c->kept - used, &head)) > 0; used += n) {
        check_message(c, c->room + used + head, n - head);
        done++;
    }
    c->kept -= used;
    memmove(c->room, c->room + used, c->kept);
    return done;
}

uint64_t check_inflate_bytes(const struct check_inflate *c)
{
    return c->seen_bytes;
}
