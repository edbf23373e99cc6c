/* Computes SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one
 * compression and three finalization rounds). */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

uint64_t hash_seed(void)
{
    uint64_t seed;
    /* getrandom fails only on kernels without it. An address and a time are the best there is
     * then. */
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint64_t)(uintptr_t)&seed ^ clock_monotonic_ms() << 32;
    return seed;
}

/* The state: four words. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint32_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
    /* Maps keep one word of seed, from which the second half of the 128-bit key is made. */
    uint64_t second = rotate(seed * 0x9e3779b97f4a7c15, 29);
    struct sip s = {seed ^ 0x736f6d6570736575, second ^ 0x646f72616e646f6d,
                    seed ^ 0x6c7967656e657261, second ^ 0x7465646279746573};
    const uint8_t *at = data;
    size_t left = len;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(&s, word);
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    uint64_t hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return (uint32_t)(hash ^ hash >> 32);
}
