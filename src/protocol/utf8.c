/* Checks UTF-8 in registers as wide as the machine has them, and byte by byte where a piece cuts a
 * character. */
#include "protocol/utf8.h"

#include <string.h>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SHORT_MAX = 64 };

/* The bytes that may come next inside a character (RFC 3629 §4). The narrower ranges after E0, ED,
 * F0 and F4 keep out overlong forms, surrogates and code points above U+10FFFF. */
enum utf8_state {
    BETWEEN,
    ONE_LEFT,
    TWO_LEFT,
    THREE_LEFT,
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4,
    BAD
};

struct utf8_step {
    uint8_t low;
    uint8_t high;
    uint8_t next;
};

static const struct utf8_step steps[] = {
    [ONE_LEFT] = {0x80, 0xbf, BETWEEN},    [TWO_LEFT] = {0x80, 0xbf, ONE_LEFT},
    [THREE_LEFT] = {0x80, 0xbf, TWO_LEFT}, [AFTER_E0] = {0xa0, 0xbf, ONE_LEFT},
    [AFTER_ED] = {0x80, 0x9f, ONE_LEFT},   [AFTER_F0] = {0x90, 0xbf, TWO_LEFT},
    [AFTER_F4] = {0x80, 0x8f, TWO_LEFT},
};

static enum utf8_state first_byte(uint8_t byte)
{
    if (byte < 0x80)
        return BETWEEN;
    if (byte < 0xc2) /* a continuation, or C0 and C1, which begin only overlong forms */
        return BAD;
    if (byte < 0xe0)
        return ONE_LEFT;
    if (byte < 0xf0)
        return byte == 0xe0 ? AFTER_E0 : byte == 0xed ? AFTER_ED : TWO_LEFT;
    if (byte < 0xf5)
        return byte == 0xf0 ? AFTER_F0 : byte == 0xf4 ? AFTER_F4 : THREE_LEFT;
    return BAD;
}

static enum utf8_state step(enum utf8_state state, uint8_t byte)
{
    if (state == BETWEEN)
        return first_byte(byte);
    const struct utf8_step *s = &steps[state];
    return byte < s->low || byte > s->high ? BAD : s->next;
}

int utf8_check_scalar(struct utf8 *u, const uint8_t *data, size_t len)
{
    enum utf8_state state = u->state;
    for (size_t i = 0; i < len; i++) {
        state = step(state, data[i]);
        if (state == BAD)
            return ERR_UTF8;
    }
    u->state = (uint8_t)state;
    return 0;
}

bool utf8_complete(const struct utf8 *u)
{
    return u->state == BETWEEN;
}

/* The forms below check runs that begin and end between two characters. */

static bool is_ascii_8(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return (word & 0x8080808080808080u) == 0;
}

static bool valid_words(const uint8_t *data, size_t len)
{
    enum utf8_state state = BETWEEN;
    size_t i = 0;
    while (i < len) {
        if (state == BETWEEN && len - i >= 8 && is_ascii_8(data + i)) {
            i += 8;
            continue;
        }
        state = step(state, data[i++]);
        if (state == BAD)
            return false;
    }
    return state == BETWEEN;
}

#if defined(__x86_64__)
/* "Validating UTF-8 In Less Than One Instruction Per Byte" (Keiser, Lemire 2020). Each pair of
 * neighbouring bytes is looked up by three nibbles; a bit that stands in all three is a fault of
 * two bytes. TWO_CONTINUATIONS is a fault unless the second is the third or fourth byte of a
 * character, which the bytes two and three places before tell. */
enum {
    TOO_SHORT = 1 << 0,         /* lead byte, then no continuation */
    TOO_LONG = 1 << 1,          /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2,        /* E0, then 80..9F */
    TOO_LARGE = 1 << 3,         /* F4, then 90..BF; or F5..FF, then 90..BF */
    SURROGATE = 1 << 4,         /* ED, then A0..BF */
    OVERLONG_2 = 1 << 5,        /* C0 or C1 */
    OVERLONG_4 = 1 << 6,        /* F0, then 80..8F */
    TOO_LARGE_1000 = 1 << 6,    /* F5..FF, then 80..8F */
    TWO_CONTINUATIONS = 1 << 7, /* two continuations */
    /* Faults of which the low nibble tells nothing. */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS,
    LARGE_LOW = ANY_LOW | TOO_LARGE | TOO_LARGE_1000
};

static const uint8_t first_high[16] = {
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
};

static const uint8_t first_low[16] = {
    ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    ANY_LOW | OVERLONG_2,
    ANY_LOW,
    ANY_LOW,
    ANY_LOW | TOO_LARGE,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW | SURROGATE,
    LARGE_LOW,
    LARGE_LOW,
};

enum {
    SECOND_ANY = TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS,
    SECOND_8 = SECOND_ANY | OVERLONG_3 | OVERLONG_4 | TOO_LARGE_1000,
    SECOND_9 = SECOND_ANY | OVERLONG_3 | TOO_LARGE,
    SECOND_AB = SECOND_ANY | SURROGATE | TOO_LARGE
};

static const uint8_t second_high[16] = {
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
    SECOND_8,  SECOND_9,  SECOND_AB, SECOND_AB, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
};

/* A byte that is larger than this, at the end of a block, begins a character that goes on in the
 * next block. */
static const uint8_t last_whole[32] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,  255,  255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0xef, 0xdf, 0xbf,
};

/* Both forms skip ASCII in a loop of its own that holds nothing but the place. The state of a run
 * stays in registers only while nobody takes its address; through memory each block would wait for
 * the one before. */

__attribute__((target("ssse3"))) static inline __m128i load_16(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)(const void *)from);
}

/* The faults of a block that follows the block `previous`. */
__attribute__((target("ssse3"))) static inline __m128i faults_ssse3(__m128i bytes, __m128i previous)
{
    const __m128i nibble = _mm_set1_epi8(0x0f);
    __m128i before = _mm_alignr_epi8(bytes, previous, 15);
    __m128i high = _mm_and_si128(_mm_srli_epi16(before, 4), nibble);
    __m128i low = _mm_and_si128(before, nibble);
    __m128i second = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);
    __m128i pairs = _mm_and_si128(_mm_shuffle_epi8(load_16(first_high), high),
                                  _mm_and_si128(_mm_shuffle_epi8(load_16(first_low), low),
                                                _mm_shuffle_epi8(load_16(second_high), second)));
    __m128i third = _mm_subs_epu8(_mm_alignr_epi8(bytes, previous, 14), _mm_set1_epi8(0x60));
    __m128i fourth = _mm_subs_epu8(_mm_alignr_epi8(bytes, previous, 13), _mm_set1_epi8(0x70));
    __m128i wanted = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)0x80));
    return _mm_xor_si128(wanted, pairs);
}

/* Not zero when the block ends within a character. */
__attribute__((target("ssse3"))) static inline __m128i cut_ssse3(__m128i bytes)
{
    return _mm_subs_epu8(bytes, load_16(last_whole + 16));
}

__attribute__((target("ssse3"))) static inline bool is_ascii_32(const uint8_t *data)
{
    return _mm_movemask_epi8(_mm_or_si128(load_16(data), load_16(data + 16))) == 0;
}

/* Returns where the ASCII from `at` on ends, in steps of 32 bytes. */
__attribute__((target("ssse3"))) static size_t skip_ascii_ssse3(const uint8_t *data, size_t at,
                                                                size_t len)
{
    while (len - at >= 32 && is_ascii_32(data + at))
        at += 32;
    return at;
}

__attribute__((target("ssse3"))) static bool valid_ssse3(const uint8_t *data, size_t len)
{
    __m128i faults = _mm_setzero_si128();
    size_t at = 0;
    while ((at = skip_ascii_ssse3(data, at, len)) < len) {
        __m128i previous = _mm_setzero_si128(); /* ASCII, or nothing, comes before */
        for (; len - at >= 32 && !is_ascii_32(data + at); at += 32) {
            __m128i a = load_16(data + at);
            __m128i b = load_16(data + at + 16);
            faults = _mm_or_si128(faults, faults_ssse3(a, previous));
            faults = _mm_or_si128(faults, faults_ssse3(b, a));
            previous = b;
        }
        if (len - at < 32) {
            uint8_t rest[32] = {0}; /* zeros are ASCII and change nothing */
            memcpy(rest, data + at, len - at);
            __m128i a = load_16(rest);
            __m128i b = load_16(rest + 16);
            faults = _mm_or_si128(faults, faults_ssse3(a, previous));
            faults = _mm_or_si128(faults, faults_ssse3(b, a));
            previous = b;
            at = len;
        }
        faults = _mm_or_si128(faults, cut_ssse3(previous)); /* ASCII or nothing comes next */
    }
    return _mm_movemask_epi8(_mm_cmpeq_epi8(faults, _mm_setzero_si128())) == 0xffff;
}

__attribute__((target("avx2"))) static inline __m256i load_32(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

/* Loads a table of 16 bytes into both halves, for look-ups within each half. */
__attribute__((target("avx2"))) static inline __m256i load_twice(const uint8_t *from)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)from));
}

__attribute__((target("avx2"))) static inline __m256i faults_avx2(__m256i bytes, __m256i previous)
{
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    __m256i across = _mm256_permute2x128_si256(previous, bytes, 0x21);
    __m256i before = _mm256_alignr_epi8(bytes, across, 15);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(before, 4), nibble);
    __m256i low = _mm256_and_si256(before, nibble);
    __m256i second = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
    __m256i pairs =
        _mm256_and_si256(_mm256_shuffle_epi8(load_twice(first_high), high),
                         _mm256_and_si256(_mm256_shuffle_epi8(load_twice(first_low), low),
                                          _mm256_shuffle_epi8(load_twice(second_high), second)));
    __m256i third = _mm256_subs_epu8(_mm256_alignr_epi8(bytes, across, 14), _mm256_set1_epi8(0x60));
    __m256i fourth =
        _mm256_subs_epu8(_mm256_alignr_epi8(bytes, across, 13), _mm256_set1_epi8(0x70));
    __m256i wanted = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(wanted, pairs);
}

__attribute__((target("avx2"))) static inline __m256i cut_avx2(__m256i bytes)
{
    return _mm256_subs_epu8(bytes, load_32(last_whole));
}

__attribute__((target("avx2"))) static inline bool is_ascii_64(const uint8_t *data)
{
    return _mm256_movemask_epi8(_mm256_or_si256(load_32(data), load_32(data + 32))) == 0;
}

__attribute__((target("avx2"))) static size_t skip_ascii_avx2(const uint8_t *data, size_t at,
                                                              size_t len)
{
    for (; len - at >= 128; at += 128) {
        __m256i a = _mm256_or_si256(load_32(data + at), load_32(data + at + 32));
        __m256i b = _mm256_or_si256(load_32(data + at + 64), load_32(data + at + 96));
        if (_mm256_movemask_epi8(_mm256_or_si256(a, b)) != 0)
            break;
    }
    while (len - at >= 64 && is_ascii_64(data + at))
        at += 64;
    return at;
}

__attribute__((target("avx2"))) static bool valid_avx2(const uint8_t *data, size_t len)
{
    __m256i faults = _mm256_setzero_si256();
    size_t at = 0;
    while ((at = skip_ascii_avx2(data, at, len)) < len) {
        __m256i previous = _mm256_setzero_si256();
        for (; len - at >= 64 && !is_ascii_64(data + at); at += 64) {
            __m256i a = load_32(data + at);
            __m256i b = load_32(data + at + 32);
            faults = _mm256_or_si256(faults, faults_avx2(a, previous));
            faults = _mm256_or_si256(faults, faults_avx2(b, a));
            previous = b;
        }
        if (len - at < 64) {
            uint8_t rest[64] = {0};
            memcpy(rest, data + at, len - at);
            __m256i a = load_32(rest);
            __m256i b = load_32(rest + 32);
            faults = _mm256_or_si256(faults, faults_avx2(a, previous));
            faults = _mm256_or_si256(faults, faults_avx2(b, a));
            previous = b;
            at = len;
        }
        faults = _mm256_or_si256(faults, cut_avx2(previous));
    }
    return _mm256_testz_si256(faults, faults) != 0;
}
#endif

enum utf8_form utf8_form_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return UTF8_AVX2;
    if (__builtin_cpu_supports("ssse3"))
        return UTF8_SSSE3;
#endif
    return UTF8_WORDS;
}

static bool valid_as(enum utf8_form form, const uint8_t *data, size_t len)
{
#if defined(__x86_64__)
    if (form == UTF8_AVX2)
        return valid_avx2(data, len);
    if (form == UTF8_SSSE3)
        return valid_ssse3(data, len);
#endif
    (void)form;
    return valid_words(data, len);
}

/* Bytes of the character that the end of data cuts: at most three, 0 for none. */
static size_t cut_character(const uint8_t *data, size_t len)
{
    for (size_t i = 1; i <= 3 && i <= len; i++) {
        uint8_t byte = data[len - i];
        if (byte < 0x80)
            return 0;
        if (byte >= 0xc0) {
            size_t whole = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
            return i < whole ? i : 0;
        }
    }
    return 0;
}

/* Never inlined, so that short messages need not save and restore the registers of long ones. */
__attribute__((noinline)) int utf8_check_as(enum utf8_form form, struct utf8 *u,
                                            const uint8_t *data, size_t len)
{
    if (form == UTF8_SCALAR || len == 0)
        return utf8_check_scalar(u, data, len);
    size_t at = 0;
    for (; at < len && !utf8_complete(u); at++)
        if (utf8_check_scalar(u, data + at, 1) < 0)
            return ERR_UTF8;
    size_t cut = cut_character(data + at, len - at);
    if (!valid_as(form, data + at, len - at - cut))
        return ERR_UTF8;
    return utf8_check_scalar(u, data + len - cut, cut);
}

#if defined(__x86_64__)
static bool is_ascii_from_16(const uint8_t *data, size_t len)
{
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)(data + len - 16));
    for (size_t at = 0; at + 16 < len; at += 16)
        all = _mm_or_si128(all, _mm_loadu_si128((const __m128i *)(const void *)(data + at)));
    return _mm_movemask_epi8(all) == 0;
}
#endif

/* Most messages are short and ASCII. The last load overlaps the one before. */
static bool is_short_ascii(const uint8_t *data, size_t len)
{
    if (len < 8) {
        uint32_t first;
        uint32_t last;
        if (len < 4)
            return (data[0] | data[len / 2] | data[len - 1]) < 0x80;
        memcpy(&first, data, 4);
        memcpy(&last, data + len - 4, 4);
        return ((first | last) & 0x80808080u) == 0;
    }
#if defined(__x86_64__)
    if (len >= 16)
        return is_ascii_from_16(data, len);
#endif
    uint64_t all;
    memcpy(&all, data + len - 8, 8);
    for (size_t at = 0; at + 8 < len; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
        all |= word;
    }
    return (all & 0x8080808080808080u) == 0;
}

int utf8_check(struct utf8 *u, const uint8_t *data, size_t len)
{
    if (len == 0 || (len <= SHORT_MAX && utf8_complete(u) && is_short_ascii(data, len)))
        return 0;
    return utf8_check_as(len < 16 ? UTF8_WORDS : utf8_form_best(), u, data, len);
}

bool utf8_valid(const uint8_t *data, size_t len)
{
    struct utf8 u = {0};
    return !utf8_check(&u, data, len) && utf8_complete(&u);
}
