/* Compresses and inflates messages with zlib, and short ones without context with libdeflate. */
#include "protocol/deflate.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/error.h"
#include "protocol/deflate_block.h"

enum {
    ZLIB_BITS_MIN = 9,        /* zlib's raw DEFLATE knows no smaller window */
    PIECE_MAX = 1 << 30,      /* zlib counts in unsigned int */
    OUTPUT_MIN = 512,         /* least and most room to ask for at a time; */
    OUTPUT_MAX = 1 << 18,     /* buffer_reserve grows faster where it pays */
    STATE_BYTES = 8192,       /* about what zlib's own structures take */
    WHOLE_MAX = 4096,         /* the longest message for libdeflate; */
    WHOLE_FAST_MAX = 1 << 15, /* at its fastest level */
    WHOLE_GROWTH = 6,         /* bytes of room for each one; what needs more goes to zlib */
    DYNAMIC_NOT_LAST = 4,     /* the first three bits of a block (RFC 1951 §3.2.3) */
    BETWEEN_BLOCKS = 128      /* z_stream.data_type: at a block's end and at a byte boundary */
};

/* A sender removes this from the end of a message, and a receiver puts it back (RFC 7692 §7.2.1,
 * §7.2.2). */
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
    int window_bits;
    bool between_blocks;
    struct libdeflate_decompressor *whole; /* made when it is first of use */
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
    struct deflater *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
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
    if (!d)
        return;
    deflateEnd(&d->z);
    free(d);
}

void deflater_reset(struct deflater *d)
{
    if (!d->fresh) { /* deflateReset clears tables of many KiB */
        deflateReset(&d->z);
        d->fresh = true;
    }
}

/* Compresses one piece, until all of it is out. */
static int deflate_piece(z_stream *z, const uint8_t *data, size_t len, int flush,
                         struct buffer *out)
{
    z->next_in = data;
    z->avail_in = (uInt)len;
    do {
        if (buffer_reserve(out, output_step(len / 4)) < 0)
            return ERR_MEMORY;
        size_t room = at_most(out->cap - out->len, PIECE_MAX);
        z->next_out = out->data + out->len;
        z->avail_out = (uInt)room;
        int status = deflate(z, flush);
        assert(status == Z_OK || status == Z_BUF_ERROR); /* BUF_ERROR: nothing was left to do */
        (void)status;
        out->len += room - z->avail_out;
    } while (z->avail_out == 0);
    return 0;
}

static int deflate_all(z_stream *z, const uint8_t *data, size_t len, struct buffer *out)
{
    for (; len > PIECE_MAX; data += PIECE_MAX, len -= PIECE_MAX) {
        int err = deflate_piece(z, data, PIECE_MAX, Z_NO_FLUSH, out);
        if (err)
            return err;
    }
    return deflate_piece(z, data, len, Z_SYNC_FLUSH, out);
}

int deflater_message(struct deflater *d, const uint8_t *data, size_t len, bool keep_context,
                     struct buffer *out)
{
    if (!keep_context)
        deflater_reset(d);
    if (len == 0) /* zlib would flush nothing; an empty block's first octet (§7.2.3.6) */
        return buffer_append(out, "", 1);
    size_t before = out->len;
    d->fresh = false;
    int err = deflate_all(&d->z, data, len, out);
    if (err) {
        out->len = before;
        deflater_reset(d);
        return err;
    }
    assert(out->len - before > sizeof(tail));
    out->len -= sizeof(tail);
    assert(memcmp(out->data + out->len, tail, sizeof(tail)) == 0);
    return 0;
}

/* ---- without context ---- */

static struct deflater *kept_deflater(struct deflaters *all, int window_bits, int level,
                                      int memory_level)
{
    int bits = zlib_bits(window_bits);
    for (unsigned i = 0; i < DEFLATERS_KEPT; i++) {
        struct deflater *d = all->kept[i];
        if (d && d->window_bits == bits && d->level == level && d->memory_level == memory_level)
            return d;
    }
    struct deflater *d = deflater_new(bits, level, memory_level);
    if (d) {
        deflater_free(all->kept[all->next]);
        all->kept[all->next] = d;
        all->next = (all->next + 1) % DEFLATERS_KEPT;
    }
    return d;
}

/* True for a message in which no distance can be longer than the window, and that comes out as one
 * block: libdeflate splits none of fewer than 5,000 bytes, and at its fastest level only those of
 * more than 8,192 matches (of four bytes or more). */
static bool is_for_whole(size_t len, int window_bits, int level)
{
    size_t most = level == 1 ? WHOLE_FAST_MAX : WHOLE_MAX;
    return len > 0 && len <= most && len <= (size_t)1 << window_bits;
}

/* Turns the stream's only block into one that is not the last, and adds the first bits of an empty
 * stored block, whose other octets are the tail: three zeros, and more of them up to the octet's
 * end. A block with BFINAL set would be allowed (RFC 7692 §7.2.3.4), but some receivers read
 * nothing behind it. */
static size_t add_flush(uint8_t *data, size_t len, size_t bits)
{
    data[0] &= 0xfe;
    if (len * 8 - bits < 3)
        data[len++] = 0;
    return len;
}

/* Returns 1, or 0 when the message did not come out as one block, or ERR_MEMORY. */
static int deflate_whole(struct deflaters *all, int level, const uint8_t *data, size_t len,
                         struct buffer *out)
{
    struct libdeflate_compressor **c = &all->whole[level];
    if (!*c && !(*c = libdeflate_alloc_compressor(level)))
        return ERR_MEMORY;
    size_t bound = libdeflate_deflate_compress_bound(*c, len);
    if (buffer_reserve(out, bound + 1) < 0)
        return ERR_MEMORY;
    uint8_t *at = out->data + out->len;
    size_t n = libdeflate_deflate_compress(*c, data, len, at, bound);
    size_t bits = n == 0 ? 0 : deflate_block_end(at, n);
    if (bits == 0)
        return 0;
    out->len += add_flush(at, n, bits);
    return 1;
}

int deflaters_message(struct deflaters *all, int window_bits, int level, int memory_level,
                      const uint8_t *data, size_t len, struct buffer *out)
{
    if (is_for_whole(len, window_bits, level)) {
        int done = deflate_whole(all, level, data, len, out);
        if (done)
            return done < 0 ? done : 0;
    }
    struct deflater *d = kept_deflater(all, window_bits, level, memory_level);
    return d ? deflater_message(d, data, len, false, out) : ERR_MEMORY;
}

void deflaters_deinit(struct deflaters *all)
{
    for (unsigned i = 0; i < DEFLATERS_KEPT; i++)
        deflater_free(all->kept[i]);
    for (unsigned i = 0; i < DEFLATE_LEVELS; i++)
        libdeflate_free_compressor(all->whole[i]);
    *all = (struct deflaters){0};
}

/* ---- inflating ---- */

struct inflater *inflater_new(int window_bits)
{
    struct inflater *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    if (inflateInit2(&i->z, -zlib_bits(window_bits)) != Z_OK) {
        free(i);
        return NULL;
    }
    i->window_bits = window_bits;
    i->between_blocks = true;
    return i;
}

size_t inflater_held(const struct inflater *i)
{
    return inflater_memory(i->window_bits);
}

void inflater_free(struct inflater *i)
{
    if (!i)
        return;
    inflateEnd(&i->z);
    libdeflate_free_decompressor(i->whole);
    free(i);
}

void inflater_reset(struct inflater *i)
{
    inflateReset(&i->z);
    i->between_blocks = true;
}

/* Takes note of zlib's status. Returns 0 to go on, or an error. */
static int inflate_result(struct inflater *i, int status)
{
    switch (status) {
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

/* Calls zlib once, with free room of *out. */
static int inflate_step(struct inflater *i, size_t max_len, struct buffer *out)
{
    uint8_t over; /* at the limit, one byte more would land here */
    bool full = out->len >= max_len;
    size_t room = 1;
    i->z.next_out = &over;
    if (!full) {
        if (out->len == out->cap) {
            size_t wish = output_step(at_most(i->z.avail_in, OUTPUT_MAX) * 4);
            if (buffer_reserve(out, at_most(wish, max_len - out->len)) < 0)
                return ERR_MEMORY;
        }
        room = at_most(at_most(out->cap, max_len) - out->len, PIECE_MAX);
        i->z.next_out = out->data + out->len;
    }
    i->z.avail_out = (uInt)room;
    int status = inflate(&i->z, Z_SYNC_FLUSH);
    size_t wrote = room - i->z.avail_out;
    if (full && wrote > 0)
        return ERR_TOO_BIG;
    out->len += wrote;
    return inflate_result(i, status);
}

static int inflate_piece(struct inflater *i, const uint8_t *data, size_t len, size_t max_len,
                         struct buffer *out)
{
    i->z.next_in = data;
    i->z.avail_in = (uInt)len;
    do { /* no room left: more may be on its way out */
        int err = inflate_step(i, max_len, out);
        if (err)
            return err;
    } while (i->z.avail_in > 0 || i->z.avail_out == 0);
    return 0;
}

int inflater_push(struct inflater *i, const uint8_t *data, size_t len, bool last, size_t max_len,
                  struct buffer *out)
{
    while (len > 0) {
        size_t n = at_most(len, PIECE_MAX);
        int err = inflate_piece(i, data, n, max_len, out);
        if (err)
            return err;
        data += n;
        len -= n;
    }
    if (!last || i->between_blocks)
        return 0;
    int err = inflate_piece(i, tail, sizeof(tail), max_len, out);
    if (err)
        return err;
    return i->between_blocks ? 0 : ERR_PROTOCOL;
}

/* Inflates a message of one block. libdeflate stops only at a last block, so this one is made the
 * last meanwhile. Returns false, with nothing done, where zlib might find something else. */
static bool inflate_whole(struct inflater *i, uint8_t *data, size_t len, size_t max_len,
                          struct buffer *out)
{
    if (len == 0 || len > WHOLE_FAST_MAX || (data[0] & 7) != DYNAMIC_NOT_LAST ||
        out->len >= max_len || (!i->whole && !(i->whole = libdeflate_alloc_decompressor())))
        return false;
    size_t left = max_len - out->len;
    if (buffer_reserve(out, at_most(output_step(len * WHOLE_GROWTH), left)) < 0)
        return false;
    uint8_t *at = out->data + out->len;
    size_t room = at_most(out->cap - out->len, left);
    size_t used;
    size_t made;
    data[0] |= 1;
    enum libdeflate_result result =
        libdeflate_deflate_decompress_ex(i->whole, data, len, at, room, &used, &made);
    data[0] ^= 1;
    if (result != LIBDEFLATE_SUCCESS || !deflate_block_is_flushed(data, len, used))
        return false;
    out->len += made;
    return true;
}

int inflater_message(struct inflater *i, uint8_t *data, size_t len, size_t max_len,
                     struct buffer *out)
{
    return inflate_whole(i, data, len, max_len, out)
               ? 0
               : inflater_push(i, data, len, true, max_len, out);
}
