#include "chat.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char *const WORDS[] = {
    "the",    "a",       "we",    "you",     "they",   "have",    "seen",   "meeting",
    "server", "again",   "maybe", "later",   "coffee", "river",   "really", "think",
    "about",  "weekend", "pull",  "request", "ship",   "green",   "tests",  "it",
    "is",     "on",      "my",    "screen",  "please", "review",  "thanks", "haha",
    "photo",  "train",   "late",  "where",   "nobody", "answers", "window", "paint"};

/* A generator of its own, so that every machine sends the same bytes. */
static unsigned next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static size_t write_message(char *out, size_t size, uint32_t id)
{
    uint32_t seed = id * 2654435761u + 1;
    int head = snprintf(out, size,
                        "{\"type\":\"message\",\"id\":\"%08x%04x\",\"room\":\"room-%u\","
                        "\"user\":{\"id\":%u,\"name\":\"user%u\",\"avatar\":\"/avatars/%08x.png\"},"
                        "\"sent\":\"2025-03-%02uT%02u:%02u:%02u.%03uZ\",\"text\":\"",
                        id * 2246822519u, next(&seed), next(&seed) % 40, next(&seed), id,
                        next(&seed) << 11, 1 + next(&seed) % 28, next(&seed) % 24, next(&seed) % 60,
                        next(&seed) % 60, next(&seed) % 1000);
    size_t at = (size_t)head;
    while (at + 12 < size) {
        const char *word = WORDS[next(&seed) % (sizeof WORDS / sizeof *WORDS)];
        at += (size_t)sprintf(out + at, "%s ", word);
    }
    memset(out + at, '.', size - at);
    memcpy(out + size - 2, "\"}", 2);
    return size;
}

static size_t pack(uint8_t *out, size_t room, uint8_t *data, size_t size)
{
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        fail("out of memory");
    }
    z.next_in = data;
    z.avail_in = (unsigned)size;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in != 0 || z.avail_out == 0) {
        fail("cannot compress");
    }
    size_t packed = room - z.avail_out - 4; /* without 00 00 ff ff (§7.2.1) */
    deflateEnd(&z);
    return packed;
}

void chat_init(struct chat *c, unsigned count, size_t size)
{
    if (size < 300 || size > 60000) {
        fail("compressed messages have 300 to 60,000 bytes");
    }
    c->count = count;
    c->plain = calloc(count, sizeof *c->plain);
    c->packed = calloc(count, sizeof *c->packed);
    c->plain_sizes = calloc(count, sizeof *c->plain_sizes);
    c->packed_sizes = calloc(count, sizeof *c->packed_sizes);
    if (!c->plain || !c->packed || !c->plain_sizes || !c->packed_sizes) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        c->plain[i] = malloc(size + 16);
        c->packed[i] = malloc(size + 256);
        if (!c->plain[i] || !c->packed[i]) {
            fail("out of memory");
        }
        c->plain_sizes[i] = write_message((char *)c->plain[i], size, i + 1);
        c->packed_sizes[i] = pack(c->packed[i], size + 256, c->plain[i], size);
    }
}
