/* Computes SHA-1 digests. */
#include "protocol/sha1.h"

#include <string.h>

/* Clang 14 cannot ask whether the processor has the instructions, and cpuid costs more than a
 * digest. */
#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 11
#define HAS_FORM_SHA 1
#include <immintrin.h>
#endif

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, ROUNDS = 80 };

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t read_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The function (FIPS 180-4 §4.1.1) and the constant (§4.2.1) of a round. */
static inline uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round / 20) {
    case 0:
        return (d ^ (b & (c ^ d))) + 0x5a827999;
    case 1:
        return (b ^ c ^ d) + 0x6ed9eba1;
    case 2:
        return ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
    default:
        return (b ^ c ^ d) + 0xca62c1d6;
    }
}

/* Leaves the next round's a in e, so that nothing is moved. */
static inline void add_round(unsigned round, uint32_t a, uint32_t *b, uint32_t c, uint32_t d,
                             uint32_t *e, uint32_t word)
{
    *e += rotate(a, 5) + mix(round, *b, c, d) + word;
    *b = rotate(*b, 30);
}

/* Inlined, so that `first` is a constant and so is the rounds' function. It must be fast: an app's
 * files are compared by their digests. */
static inline __attribute__((always_inline)) void add_rounds(uint32_t v[5], const uint32_t *w,
                                                             unsigned first)
{
    uint32_t a = v[0], b = v[1], c = v[2], d = v[3], e = v[4];
    for (unsigned i = first; i < first + 20; i += 5) {
        add_round(first, a, &b, c, d, &e, w[i]);
        add_round(first, e, &a, b, c, &d, w[i + 1]);
        add_round(first, d, &e, a, b, &c, w[i + 2]);
        add_round(first, c, &d, e, a, &b, w[i + 3]);
        add_round(first, b, &c, d, e, &a, w[i + 4]);
    }
    v[0] = a, v[1] = b, v[2] = c, v[3] = d, v[4] = e;
}

/* FIPS 180-4 §6.1.2. */
static void add_block_scalar(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[ROUNDS];
    for (unsigned i = 0; i < 16; i++)
        w[i] = read_word(block + 4 * i);
    for (unsigned i = 16; i < ROUNDS; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t v[5] = {h[0], h[1], h[2], h[3], h[4]};
    add_rounds(v, w, 0);
    add_rounds(v, w, 20);
    add_rounds(v, w, 40);
    add_rounds(v, w, 60);
    for (unsigned i = 0; i < 5; i++)
        h[i] += v[i];
}

#if defined(HAS_FORM_SHA)
/* Does four rounds. The instruction holds the number of their constant in its code. */
__attribute__((target("sha,sse4.1"))) static inline __m128i four_rounds(__m128i abcd, __m128i e,
                                                                        unsigned group)
{
    switch (group / 5) {
    case 0:
        return _mm_sha1rnds4_epu32(abcd, e, 0);
    case 1:
        return _mm_sha1rnds4_epu32(abcd, e, 1);
    case 2:
        return _mm_sha1rnds4_epu32(abcd, e, 2);
    default:
        return _mm_sha1rnds4_epu32(abcd, e, 3);
    }
}

/* Does it with the instructions that the processor has for it. */
__attribute__((target("sha,sse4.1"))) static void add_block_sha(uint32_t h[5], const uint8_t *block)
{
    const __m128i turn = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    __m128i w[4];
    for (unsigned i = 0; i < 4; i++)
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)),
                                turn);
    __m128i start = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0x1b);
    __m128i e_start = _mm_set_epi32((int)h[4], 0, 0, 0);
    __m128i abcd = start;
    __m128i before = start; /* abcd, four rounds ago: its a becomes e */
    __m128i e = _mm_add_epi32(e_start, w[0]);
    for (unsigned group = 0; group < ROUNDS / 4; group++) {
        __m128i *word = &w[group % 4];
        if (group >= 4)
            *word = _mm_sha1msg2_epu32(
                _mm_xor_si128(_mm_sha1msg1_epu32(*word, w[(group + 1) % 4]), w[(group + 2) % 4]),
                w[(group + 3) % 4]);
        if (group > 0)
            e = _mm_sha1nexte_epu32(before, *word);
        before = abcd;
        abcd = four_rounds(abcd, e, group);
    }
    abcd = _mm_add_epi32(abcd, start);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_shuffle_epi32(abcd, 0x1b));
    h[4] = (uint32_t)_mm_extract_epi32(_mm_sha1nexte_epu32(before, e_start), 3);
}
#endif

enum sha1_form sha1_form_best(void)
{
#if defined(HAS_FORM_SHA)
    return __builtin_cpu_supports("sha") ? SHA1_INSTRUCTIONS : SHA1_SCALAR;
#else
    return SHA1_SCALAR;
#endif
}

static void add_block(enum sha1_form form, uint32_t h[5], const uint8_t *block)
{
#if defined(HAS_FORM_SHA)
    if (form == SHA1_INSTRUCTIONS) {
        add_block_sha(h, block);
        return;
    }
#endif
    (void)form;
    add_block_scalar(h, block);
}

void sha1_as(enum sha1_form form, uint8_t out[SHA1_BYTES], const void *data, size_t len)
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *bytes = data;
    size_t left = len;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, bytes += BLOCK_BYTES)
        add_block(form, h, bytes);

    /* The padding (§5.1.1): a one, zeros, and the length in bits at the end of a block. */
    uint8_t last[2 * BLOCK_BYTES] = {0};
    size_t last_len = left + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    if (left > 0)
        memcpy(last, bytes, left);
    last[left] = 0x80;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        last[last_len - 1 - i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < last_len; at += BLOCK_BYTES)
        add_block(form, h, last + at);

    for (unsigned i = 0; i < SHA1_BYTES; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t len)
{
    sha1_as(sha1_form_best(), out, data, len);
}
