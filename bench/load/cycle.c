#include "cycle.h"

#include "fail.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };

static const uint8_t KEY[4] = {0x37, 0xfa, 0x21, 0x3d};

size_t frame_head_size(size_t payload, bool masked)
{
    size_t length = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
    return 2 + length + (masked ? 4 : 0);
}

static uint8_t *write_length(uint8_t *out, size_t payload, uint8_t mask_bit)
{
    unsigned bytes = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
    uint8_t first = bytes == 0 ? (uint8_t)payload : bytes == 2 ? 126 : 127;
    *out++ = first | mask_bit;
    while (bytes-- > 0) {
        *out++ = (uint8_t)((uint64_t)payload >> (8 * bytes));
    }
    return out;
}

size_t frame_write(uint8_t *out, struct framing f, const uint8_t *payload, size_t size)
{
    uint8_t *p = out;
    *p++ = (uint8_t)(0x80 | (f.compressed ? 0x40 : 0) | f.opcode);
    p = write_length(p, size, f.masked ? 0x80 : 0);
    if (f.masked) {
        memcpy(p, KEY, 4);
        p += 4;
    }
    for (size_t i = 0; i < size; i++) {
        *p++ = f.masked ? payload[i] ^ KEY[i & 3] : payload[i];
    }
    return (size_t)(p - out);
}

unsigned cycle_count(size_t payload)
{
    size_t fits = ((size_t)1 << 18) / (payload + 14);
    return fits > 8 ? 8 : fits < 2 ? 2 : (unsigned)fits;
}

void cycle_init_from(struct cycle *c, unsigned count, unsigned spare, struct framing f,
                     uint8_t *const *payloads, const size_t *sizes)
{
    unsigned total = count + spare;
    c->count = count;
    c->spare = spare;
    c->offset = calloc(total + 1u, sizeof *c->offset);
    if (!c->offset) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < total; i++) {
        size_t size = sizes[i % count];
        c->offset[i + 1] = c->offset[i] + frame_head_size(size, f.masked) + size;
    }
    c->bytes = malloc(c->offset[total]);
    if (!c->bytes) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < total; i++) {
        frame_write(c->bytes + c->offset[i], f, payloads[i % count], sizes[i % count]);
    }
}

/* Four bits to a byte, the low ones first, so that numbers that follow each other differ early. */
static uint64_t spread(uint32_t number)
{
    uint64_t x = number;
    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    return (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
}

void cycle_number(struct cycle *c, unsigned i, uint32_t number)
{
    if (c->number_at == 0) {
        return;
    }
    uint32_t key;
    memcpy(&key, c->key, sizeof key);
    uint64_t letters = (spread(number) + 0x6161616161616161) ^ ((uint64_t)key << 32 | key);
    memcpy(c->bytes + c->offset[i] + c->number_at, &letters, NUMBER_BYTES);
}

void cycle_init(struct cycle *c, unsigned count, unsigned spare, struct framing f, size_t payload)
{
    uint8_t **payloads = calloc(count, sizeof *payloads);
    size_t *sizes = calloc(count, sizeof *sizes);
    if (!payloads || !sizes) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = payload;
        payloads[i] = malloc(payload + 1);
        if (!payloads[i]) {
            fail("out of memory");
        }
        for (size_t k = 0; k < payload; k++) {
            payloads[i][k] = (uint8_t)(k == 0 ? 'A' + i % 26 : 'a' + (k * 7 + i) % 26);
        }
    }
    cycle_init_from(c, count, spare, f, payloads, sizes);
    if (payload > NUMBER_BYTES) {
        c->number_at = frame_head_size(payload, f.masked) + 1;
        for (unsigned i = 0; i < sizeof c->key && f.masked; i++) {
            c->key[i] = KEY[(1 + i) & 3];
        }
    }
    for (unsigned i = 0; i < count; i++) {
        free(payloads[i]);
    }
    free(payloads);
    free(sizes);
}

void cycle_deinit(struct cycle *c)
{
    free(c->bytes);
    free(c->offset);
}

size_t cycle_round(const struct cycle *c)
{
    return c->offset[c->count];
}

size_t cycle_laid_out(const struct cycle *c)
{
    return c->offset[c->count + c->spare];
}
