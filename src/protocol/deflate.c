#include "protocol/deflate.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/error.h"

enum {
    ZLIB_BITS_MIN = 9,    /* zlib's raw DEFLATE knows no smaller window */
    PIECE_MAX = 1 << 30,  /* zlib counts in unsigned int */
    OUTPUT_MIN = 512,     /* room asked for at a time */
    OUTPUT_MAX = 1 << 18, /* the same; buffer_reserve grows faster where it pays */
    STATE_BYTES = 8192,   /* zlib's own structures, about */
    SHORT_BITS = 12,      /* a window that holds a short message whole, */
    SHORT_MEMORY = 5,     /* and a memory level that takes most of them as one block */
    BETWEEN_BLOCKS = 128  /* z_stream.data_type: at a block's end and at a byte boundary */
};

/* What a sender removes from the end of a message, and a receiver puts back (§7.2.1, §7.2.2). */
static const uint8_t tail[4] = {0x00, 0x00, 0xff, 0xff};

struct deflater {
    z_stream z;
    bool fresh; /* the window is empty */
    uint8_t window_bits;
    uint8_t level;
    uint8_t memory_level;
};

struct inflater {
    z_stream z;
    bool between_blocks;
};

static int zlib_bits(int window_bits)
{
    return window_bits < ZLIB_BITS_MIN ? ZLIB_BITS_MIN : window_bits;
}

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

static size_t output_step(size_t wish)
{
    return at_most(wish < OUTPUT_MIN ? OUTPUT_MIN : wish, OUTPUT_MAX);
}

size_t deflater_memory(int window_bits, int memory_level)
{
    return ((size_t)1 << (zlib_bits(window_bits) + 2)) + ((size_t)1 << (memory_level + 9)) +
           STATE_BYTES;
}

size_t inflater_memory(int window_bits)
{
    return ((size_t)1 << zlib_bits(window_bits)) + STATE_BYTES;
}

struct deflater *deflater_new(int window_bits, int level, int memory_level)
{
    struct deflater *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    int bits = zlib_bits(window_bits);
    if (deflateInit2(&d->z, level, Z_DEFLATED, -bits, memory_level, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(d);
        return NULL;
    }
    d->fresh = true;
    d->window_bits = (uint8_t)bits;
    d->level = (uint8_t)level;
    d->memory_level = (uint8_t)memory_level;
    return d;
}

void deflater_free(struct deflater *d)
{
    if (d == NULL) {
        return;
    }
    deflateEnd(&d->z);
    free(d);
}

void deflater_reset(struct deflater *d)
{
    if (!d->fresh) { /* it clears tables of many KiB */
        deflateReset(&d->z);
        d->fresh = true;
    }
}

/* Compresses one piece with this flush, until all of it is out. */
static int deflate_piece(z_stream *z, const uint8_t *data, size_t len, int flush,
                         struct buffer *out)
{
    z->next_in = data;
    z->avail_in = (uInt)len;
    do {
        if (buffer_reserve(out, output_step(len / 4)) != 0) {
            return ERR_MEMORY;
        }
        size_t room = at_most(out->cap - out->len, PIECE_MAX);
        z->next_out = out->data + out->len;
        z->avail_out = (uInt)room;
        int rc = deflate(z, flush);
        assert(rc == Z_OK || rc == Z_BUF_ERROR); /* BUF_ERROR: nothing was left to do */
        (void)rc;
        out->len += room - z->avail_out;
    } while (z->avail_out == 0);
    return 0;
}

static int deflate_all(z_stream *z, const uint8_t *data, size_t len, struct buffer *out)
{
    for (; len > PIECE_MAX; data += PIECE_MAX, len -= PIECE_MAX) {
        int rc = deflate_piece(z, data, PIECE_MAX, Z_NO_FLUSH, out);
        if (rc != 0) {
            return rc;
        }
    }
    return deflate_piece(z, data, len, Z_SYNC_FLUSH, out);
}

int deflater_message(struct deflater *d, const uint8_t *data, size_t len, bool keep_context,
                     struct buffer *out)
{
    if (!keep_context) {
        deflater_reset(d);
    }
    if (len == 0) { /* zlib would flush nothing; an empty block's first octet (§7.2.3.6) */
        return buffer_append(out, "", 1);
    }
    size_t before = out->len;
    d->fresh = false;
    int rc = deflate_all(&d->z, data, len, out);
    if (rc != 0) {
        out->len = before;
        deflater_reset(d);
        return rc;
    }
    assert(out->len - before > sizeof tail);
    out->len -= sizeof tail;
    assert(memcmp(out->data + out->len, tail, sizeof tail) == 0);
    return 0;
}

struct deflater *deflaters_get(struct deflaters *all, size_t len, int window_bits, int level,
                               int memory_level)
{
    int bits = zlib_bits(window_bits);
    if (len <= (size_t)1 << SHORT_BITS) {
        bits = bits < SHORT_BITS ? bits : SHORT_BITS;
        memory_level = memory_level < SHORT_MEMORY ? memory_level : SHORT_MEMORY;
    }
    for (unsigned i = 0; i < DEFLATERS_KEPT; i++) {
        struct deflater *d = all->kept[i];
        if (d != NULL && d->window_bits == bits && d->level == level &&
            d->memory_level == memory_level) {
            return d;
        }
    }
    struct deflater *d = deflater_new(bits, level, memory_level);
    if (d != NULL) {
        deflater_free(all->kept[all->next]);
        all->kept[all->next] = d;
        all->next = (all->next + 1) % DEFLATERS_KEPT;
    }
    return d;
}

void deflaters_deinit(struct deflaters *all)
{
    for (unsigned i = 0; i < DEFLATERS_KEPT; i++) {
        deflater_free(all->kept[i]);
    }
    *all = (struct deflaters){0};
}

struct inflater *inflater_new(int window_bits)
{
    struct inflater *i = calloc(1, sizeof *i);
    if (i == NULL) {
        return NULL;
    }
    if (inflateInit2(&i->z, -zlib_bits(window_bits)) != Z_OK) {
        free(i);
        return NULL;
    }
    i->between_blocks = true;
    return i;
}

void inflater_free(struct inflater *i)
{
    if (i == NULL) {
        return;
    }
    inflateEnd(&i->z);
    free(i);
}

void inflater_reset(struct inflater *i)
{
    inflateReset(&i->z);
    i->between_blocks = true;
}

/* Takes note of what zlib said. 0 to go on, or an error. */
static int inflate_result(struct inflater *i, int rc)
{
    switch (rc) {
    case Z_OK:
        i->between_blocks = i->z.data_type == BETWEEN_BLOCKS;
        return 0;
    case Z_STREAM_END: /* BFINAL: the next block begins at the next byte, with the same window */
        inflateResetKeep(&i->z);
        i->between_blocks = true;
        return 0;
    case Z_BUF_ERROR: /* no input was left, and nothing changed */
        return 0;
    case Z_MEM_ERROR:
        return ERR_MEMORY;
    default:
        return ERR_PROTOCOL;
    }
}

/* One call of zlib into free room of *out. */
static int inflate_step(struct inflater *i, size_t max_len, struct buffer *out)
{
    uint8_t over; /* at the limit, one byte more would land here */
    bool full = out->len >= max_len;
    size_t room = 1;
    i->z.next_out = &over;
    if (!full) {
        if (out->len == out->cap) {
            size_t wish = output_step(at_most(i->z.avail_in, OUTPUT_MAX) * 4);
            if (buffer_reserve(out, at_most(wish, max_len - out->len)) != 0) {
                return ERR_MEMORY;
            }
        }
        room = at_most(at_most(out->cap, max_len) - out->len, PIECE_MAX);
        i->z.next_out = out->data + out->len;
    }
    i->z.avail_out = (uInt)room;
    int rc = inflate(&i->z, Z_SYNC_FLUSH);
    size_t wrote = room - i->z.avail_out;
    if (full && wrote > 0) {
        return ERR_TOO_BIG;
    }
    out->len += wrote;
    return inflate_result(i, rc);
}

static int inflate_piece(struct inflater *i, const uint8_t *data, size_t len, size_t max_len,
                         struct buffer *out)
{
    i->z.next_in = data;
    i->z.avail_in = (uInt)len;
    do { /* no room left: more may be on its way out */
        int rc = inflate_step(i, max_len, out);
        if (rc != 0) {
            return rc;
        }
    } while (i->z.avail_in > 0 || i->z.avail_out == 0);
    return 0;
}

int inflater_push(struct inflater *i, const uint8_t *data, size_t len, bool last, size_t max_len,
                  struct buffer *out)
{
    while (len > 0) {
        size_t n = at_most(len, PIECE_MAX);
        int rc = inflate_piece(i, data, n, max_len, out);
        if (rc != 0) {
            return rc;
        }
        data += n;
        len -= n;
    }
    if (!last || i->between_blocks) {
        return 0;
    }
    int rc = inflate_piece(i, tail, sizeof tail, max_len, out);
    if (rc != 0) {
        return rc;
    }
    return i->between_blocks ? 0 : ERR_PROTOCOL;
}
