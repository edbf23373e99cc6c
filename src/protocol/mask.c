/* Masks in registers as wide as the machine has them, and in one pass looks for bytes that are not
 * ASCII. */
#include "protocol/mask.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    SHORT_MAX = 64,
    AVX2_MIN = 128 /* below it the wider registers gain nothing */
};

void mask_apply_scalar(uint8_t *data, size_t len, const uint8_t key[4], size_t offset)
{
    for (size_t i = 0; i < len; i++)
        data[i] ^= key[(offset + i) % 4];
}

static const uint64_t top_bits = 0x8080808080808080;

/* The forms below take the key as it lies over data[0..4). Each returns how many bytes it did,
 * which is a multiple of 4, so that the key lies over the rest in the same way. *ascii becomes
 * false when a byte with its top bit set came out. */

static size_t apply_words(uint8_t *data, size_t len, const uint8_t key[4], bool *ascii)
{
    uint64_t seen = 0;
    uint64_t word;
    uint64_t pattern;
    memcpy(&pattern, key, 4);
    memcpy((uint8_t *)&pattern + 4, key, 4);
    size_t at = 0;
    for (; len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, data + at, sizeof(word));
        word ^= pattern;
        seen |= word;
        memcpy(data + at, &word, sizeof(word));
    }
    if (len - at >= 4) {
        uint32_t half;
        uint32_t half_pattern;
        memcpy(&half_pattern, key, 4);
        memcpy(&half, data + at, 4);
        half ^= half_pattern;
        seen |= half;
        memcpy(data + at, &half, 4);
        at += 4;
    }
    *ascii = *ascii && (seen & top_bits) == 0;
    return at;
}

#if defined(__x86_64__)
static size_t apply_sse2(uint8_t *data, size_t len, const uint8_t key[4], bool *ascii)
{
    __m128i seen = _mm_setzero_si128();
    int word;
    memcpy(&word, key, sizeof(word));
    __m128i pattern = _mm_set1_epi32(word);
    size_t at = 0;
    for (; len - at >= 16; at += 16) {
        __m128i *place = (__m128i *)(void *)(data + at);
        __m128i bytes = _mm_xor_si128(_mm_loadu_si128(place), pattern);
        seen = _mm_or_si128(seen, bytes);
        _mm_storeu_si128(place, bytes);
    }
    *ascii = *ascii && _mm_movemask_epi8(seen) == 0;
    return at;
}

__attribute__((target("avx2"))) static size_t apply_avx2(uint8_t *data, size_t len,
                                                         const uint8_t key[4], bool *ascii)
{
    __m256i seen = _mm256_setzero_si256();
    int word;
    memcpy(&word, key, sizeof(word));
    __m256i pattern = _mm256_set1_epi32(word);
    size_t at = 0;
    for (; len - at >= 64; at += 64) {
        __m256i *place = (__m256i *)(void *)(data + at);
        __m256i a = _mm256_xor_si256(_mm256_loadu_si256(place), pattern);
        __m256i b = _mm256_xor_si256(_mm256_loadu_si256(place + 1), pattern);
        seen = _mm256_or_si256(seen, _mm256_or_si256(a, b));
        _mm256_storeu_si256(place, a);
        _mm256_storeu_si256(place + 1, b);
    }
    *ascii = *ascii && _mm256_movemask_epi8(seen) == 0;
    return at;
}
#endif

#if defined(__x86_64__)
/* The key as it lies over a place that is `offset` bytes on. */
static uint32_t rotated(uint32_t key, size_t offset)
{
    unsigned bits = 8 * (offset % 4);
    return bits == 0 ? key : key >> bits | key << (32 - bits);
}

static void apply_4_to_7(uint8_t *data, size_t len, uint32_t key)
{
    uint32_t first;
    uint32_t last;
    memcpy(&first, data, 4);
    memcpy(&last, data + len - 4, 4);
    first ^= key;
    last ^= rotated(key, len);
    memcpy(data, &first, 4);
    memcpy(data + len - 4, &last, 4);
}

static void apply_8_to_15(uint8_t *data, size_t len, uint32_t key)
{
    uint32_t last_key = rotated(key, len);
    uint64_t first;
    uint64_t last;
    memcpy(&first, data, 8);
    memcpy(&last, data + len - 8, 8);
    first ^= (uint64_t)key << 32 | key;
    last ^= (uint64_t)last_key << 32 | last_key;
    memcpy(data, &first, 8);
    memcpy(data + len - 8, &last, 8);
}

static void apply_from_16(uint8_t *data, size_t len, uint32_t key)
{
    __m128i *end = (__m128i *)(void *)(data + len - 16);
    __m128i last = _mm_loadu_si128(end);
    __m128i pattern = _mm_set1_epi32((int)key);
    for (size_t at = 0; at + 16 < len; at += 16) {
        __m128i *place = (__m128i *)(void *)(data + at);
        _mm_storeu_si128(place, _mm_xor_si128(_mm_loadu_si128(place), pattern));
    }
    _mm_storeu_si128(end, _mm_xor_si128(last, _mm_set1_epi32((int)rotated(key, len))));
}

/* Most messages are short. Instead of steps that become smaller and smaller, the last step overlaps
 * the one before: its bytes were loaded before those of the other were stored. */
static void apply_short(uint8_t *data, size_t len, const uint8_t key[4], size_t offset)
{
    uint32_t word;
    memcpy(&word, key, sizeof(word));
    word = rotated(word, offset);
    if (len >= 16)
        apply_from_16(data, len, word);
    else if (len >= 8)
        apply_8_to_15(data, len, word);
    else if (len >= 4)
        apply_4_to_7(data, len, word);
    else
        mask_apply_scalar(data, len, key, offset);
}
#endif

enum mask_form mask_form_best(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") ? MASK_AVX2 : MASK_SSE2;
#else
    return MASK_WORDS;
#endif
}

static bool is_ascii(const uint8_t *data, size_t len)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < len; i++)
        seen |= data[i];
    return seen < 0x80;
}

/* Never inlined, so that short messages need not save and restore the registers of long ones. */
__attribute__((noinline)) bool mask_apply_as(enum mask_form form, uint8_t *data, size_t len,
                                             const uint8_t key[4], size_t offset)
{
    if (form == MASK_SCALAR || len == 0) {
        mask_apply_scalar(data, len, key, offset);
        return is_ascii(data, len);
    }
    bool ascii = true;
    uint8_t turned[4];
    for (size_t i = 0; i < 4; i++)
        turned[i] = key[(offset + i) % 4];
    size_t done = 0;
#if defined(__x86_64__)
    if (form == MASK_AVX2)
        done = apply_avx2(data, len, turned, &ascii);
    if (form >= MASK_SSE2)
        done += apply_sse2(data + done, len - done, turned, &ascii);
#endif
    done += apply_words(data + done, len - done, turned, &ascii);
    mask_apply_scalar(data + done, len - done, turned, 0);
    return ascii && is_ascii(data + done, len - done);
}

bool mask_apply(uint8_t *data, size_t len, const uint8_t key[4], size_t offset)
{
#if defined(__x86_64__)
    if (len <= SHORT_MAX) {
        apply_short(data, len, key, offset);
        return false;
    }
    return mask_apply_as(len < AVX2_MIN ? MASK_SSE2 : mask_form_best(), data, len, key, offset);
#else
    return mask_apply_as(mask_form_best(), data, len, key, offset);
#endif
}
