/* Reads as much of a DEFLATE block as tells where it ends. */
#include "protocol/deflate_block.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

enum {
    STORED = 0, /* BTYPE (RFC 1951 §3.2.3) */
    FIXED = 1,
    DYNAMIC = 2,
    END_OF_BLOCK = 256,
    LITERALS_MAX = 286, /* literals and lengths */
    DISTANCES_MAX = 30,
    LENGTHS_SENT_MAX = 286 + 30,
    CODE_BITS_MAX = 15,
    META_SYMBOLS = 19, /* symbols of the code in which code lengths are sent (§3.2.7) */
    META_BITS_MAX = 7,
    PEEK_BITS = 57,
    STORED_HEADER = 5 /* with LEN and NLEN */
};

struct bits {
    const uint8_t *data;
    size_t len;
    size_t at; /* in bits */
};

/* The next PEEK_BITS bits, without taking them; zeros after the end. */
static uint64_t peek(const struct bits *b)
{
    size_t byte = b->at / 8;
    uint64_t word = 0;
    if (byte + sizeof(word) <= b->len) {
        memcpy(&word, b->data + byte, sizeof(word));
        word = le64toh(word);
    } else {
        for (size_t i = 0; byte + i < b->len; i++)
            word |= (uint64_t)b->data[byte + i] << (8 * i);
    }
    return word >> (b->at % 8);
}

static unsigned take(struct bits *b, unsigned count)
{
    unsigned value = (unsigned)(peek(b) & ((1u << count) - 1));
    b->at += count;
    return value;
}

static unsigned reversed(unsigned code, unsigned count)
{
    unsigned out = 0;
    for (unsigned i = 0; i < count; i++)
        out |= (code >> i & 1) << (count - 1 - i);
    return out;
}

/* Counts the codes of each length. */
static void count_lengths(const uint8_t *lengths, size_t count, uint16_t *counts)
{
    memset(counts, 0, (CODE_BITS_MAX + 1) * sizeof(*counts));
    for (size_t i = 0; i < count; i++)
        counts[lengths[i]]++;
    counts[0] = 0;
}

/* The first code of each length (§3.2.2). */
static void first_codes(const uint16_t *counts, uint16_t *first)
{
    unsigned code = 0;
    first[0] = 0;
    for (unsigned n = 1; n <= CODE_BITS_MAX; n++) {
        code = (code + counts[n - 1]) << 1;
        first[n] = (uint16_t)code;
    }
}

/* True for a code that leaves no sequence of bits open: all decompressors agree about it. */
static bool is_complete(const uint16_t *counts)
{
    unsigned used = 0;
    for (unsigned n = 1; n <= CODE_BITS_MAX; n++)
        used += (unsigned)counts[n] << (CODE_BITS_MAX - n);
    return used == 1u << CODE_BITS_MAX;
}

/* ---- dynamic codes (§3.2.7) ---- */

/* Fills a table by the next seven bits: symbol << 3 | length, or 0 where there is no code. Returns
 * whether the code is complete. */
static bool read_meta_code(struct bits *b, unsigned count, uint8_t *table)
{
    static const uint8_t order[META_SYMBOLS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[META_SYMBOLS] = {0};
    uint16_t counts[CODE_BITS_MAX + 1];
    uint16_t next[CODE_BITS_MAX + 1];
    for (unsigned i = 0; i < count; i++)
        lengths[order[i]] = (uint8_t)take(b, 3);
    count_lengths(lengths, META_SYMBOLS, counts);
    first_codes(counts, next);
    memset(table, 0, 1 << META_BITS_MAX);
    for (unsigned symbol = 0; symbol < META_SYMBOLS; symbol++) {
        unsigned n = lengths[symbol];
        if (n == 0)
            continue;
        unsigned step = 1u << n;
        for (unsigned i = reversed(next[n]++, n); i < 1 << META_BITS_MAX; i += step)
            table[i] = (uint8_t)(symbol << 3 | n);
    }
    return is_complete(counts);
}

/* Returns 0 with `count` lengths, or -1. A symbol has 14 bits at most, with those that repeat
 * it. */
static int read_lengths(struct bits *b, const uint8_t *table, uint8_t *lengths, size_t count)
{
    static const uint8_t extra[META_SYMBOLS] = {[16] = 2, [17] = 3, [18] = 7};
    static const uint8_t least[META_SYMBOLS] = {[16] = 3, [17] = 3, [18] = 11};
    uint64_t word = 0;
    unsigned left = 0;
    for (size_t done = 0; done < count;) {
        if (left < META_BITS_MAX + 7) {
            word = peek(b);
            left = PEEK_BITS;
        }
        unsigned entry = table[word & ((1u << META_BITS_MAX) - 1)];
        unsigned symbol = entry >> 3;
        unsigned taken = (entry & 7) + extra[symbol];
        unsigned more = (unsigned)(word >> (entry & 7)) & ((1u << extra[symbol]) - 1);
        b->at += taken;
        word >>= taken;
        left -= taken;
        if (symbol < 16 && entry != 0) {
            lengths[done++] = (uint8_t)symbol;
            continue;
        }
        size_t repeat = least[symbol] + more;
        if (entry == 0 || repeat > count - done || (symbol == 16 && done == 0))
            return -1;
        memset(lengths + done, symbol == 16 ? lengths[done - 1] : 0, repeat);
        done += repeat;
    }
    return b->at <= b->len * 8 ? 0 : -1;
}

/* How many bits there are up to the last one that is set, which is counted too; 0 when none is. */
static size_t last_set(const uint8_t *data, size_t len)
{
    while (len > 0 && data[len - 1] == 0)
        len--;
    if (len == 0)
        return 0;
    unsigned byte = data[len - 1];
    return len * 8 - (size_t)(__builtin_clz(byte) - 24);
}

/* The code of END_OF_BLOCK. */
struct end_code {
    unsigned code;
    unsigned bits;
    bool all_complete; /* this code, that of distances, and that of their lengths */
};

/* Reads the head of a block with dynamic codes. False when it is not one. */
static bool read_head(struct bits *b, struct end_code *end)
{
    unsigned literals = 257 + take(b, 5);
    unsigned distances = 1 + take(b, 5);
    unsigned meta = 4 + take(b, 4);
    uint8_t table[1 << META_BITS_MAX];
    uint8_t lengths[LENGTHS_SENT_MAX];
    bool complete = read_meta_code(b, meta, table);
    if (literals > LITERALS_MAX || distances > DISTANCES_MAX ||
        read_lengths(b, table, lengths, literals + distances) < 0 || lengths[END_OF_BLOCK] == 0)
        return false;
    uint16_t counts[CODE_BITS_MAX + 1];
    uint16_t first[CODE_BITS_MAX + 1];
    count_lengths(lengths + literals, distances, counts);
    bool both = is_complete(counts);
    count_lengths(lengths, literals, counts);
    first_codes(counts, first);
    uint8_t bits = lengths[END_OF_BLOCK];
    unsigned before = 0; /* codes of the same length before this one */
    for (unsigned i = 0; i < END_OF_BLOCK; i++)
        before += lengths[i] == bits;
    end->bits = bits;
    end->code = (unsigned)first[bits] + before;
    end->all_complete = complete && both && is_complete(counts);
    return true;
}

/* The block's last bits are the code for its end, and only zeros follow. So the last bit that is
 * set is the last set bit of that code. */
static size_t dynamic_end(struct bits *b)
{
    struct end_code code;
    if (!read_head(b, &code) || code.code == 0)
        return 0;
    size_t end = last_set(b->data, b->len) + (unsigned)__builtin_ctz(code.code);
    return end >= b->at + code.bits && (end + 7) / 8 == b->len ? end : 0;
}

/* The bit at which the block ends within byte block_bytes - 1, or 0 unless the code for its end is
 * in just one place there. */
static size_t end_within(const struct bits *b, size_t block_bytes, const struct end_code *code)
{
    uint64_t wanted = reversed(code->code, code->bits);
    uint64_t mask = ((uint64_t)1 << code->bits) - 1;
    size_t end = 0;
    for (size_t at = block_bytes * 8 - 7; at <= block_bytes * 8; at++) {
        struct bits here = {b->data, b->len, at - code->bits};
        if (here.at >= b->at && (peek(&here) & mask) == wanted) {
            if (end != 0)
                return 0;
            end = at;
        }
    }
    return end;
}

bool deflate_block_is_flushed(const uint8_t *data, size_t len, size_t block_bytes)
{
    struct bits b = {data, len, 3};
    struct end_code code;
    if (!read_head(&b, &code) || !code.all_complete)
        return false;
    b.at = end_within(&b, block_bytes, &code);
    /* The stored block begins with three zeros; the bits behind them in their byte are ignored. */
    return b.at != 0 && (b.at + 3 + 7) / 8 == len && take(&b, 3) == 0;
}

/* ---- fixed codes (§3.2.6) ---- */

static unsigned length_extra(unsigned symbol)
{
    return symbol < 265 || symbol == 285 ? 0 : (symbol - 261) / 4;
}

static unsigned distance_extra(unsigned symbol)
{
    return symbol < 4 ? 0 : symbol / 2 - 1;
}

static unsigned take_fixed(struct bits *b)
{
    unsigned code = reversed((unsigned)peek(b) & 0x1ff, 9);
    if (code >> 2 < 0x18) { /* 7 bits */
        b->at += 7;
        return END_OF_BLOCK + (code >> 2);
    }
    if (code >> 1 < 0xc8) { /* 8 bits: literals to 143, lengths from 280 */
        b->at += 8;
        return code >> 1 < 0xc0 ? (code >> 1) - 0x30 : 280 + (code >> 1) - 0xc0;
    }
    b->at += 9;
    return 144 + code - 0x190;
}

/* The code for the block's end is all zeros, so the block must be walked through. Only short
 * messages have such a block. */
static size_t fixed_end(struct bits *b)
{
    while (b->at < b->len * 8) {
        unsigned symbol = take_fixed(b);
        if (symbol == END_OF_BLOCK)
            return (b->at + 7) / 8 == b->len ? b->at : 0;
        if (symbol > END_OF_BLOCK) {
            b->at += length_extra(symbol);
            b->at += distance_extra(reversed(take(b, 5), 5));
        }
    }
    return 0;
}

static size_t stored_end(const struct bits *b)
{
    if (b->len < STORED_HEADER)
        return 0;
    size_t stored = b->data[1] | (size_t)b->data[2] << 8;
    return STORED_HEADER + stored == b->len ? b->len * 8 : 0;
}

size_t deflate_block_end(const uint8_t *data, size_t len)
{
    struct bits b = {data, len, 0};
    bool final = take(&b, 1);
    unsigned type = take(&b, 2);
    if (!final)
        return 0;
    switch (type) {
    case STORED:
        return stored_end(&b);
    case FIXED:
        return fixed_end(&b);
    case DYNAMIC:
        return dynamic_end(&b);
    default:
        return 0;
    }
}
