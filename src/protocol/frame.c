/* Decodes and encodes frame headers. */
#include "protocol/frame.h"

#include <string.h>

#include "base/error.h"

/* Bits of the first two bytes (RFC 6455 §5.2). */
enum {
    BIT_FIN = 0x80,
    BIT_RSV1 = 0x40,
    BITS_RSV2_RSV3 = 0x30,
    BITS_OPCODE = 0x0f,
    BIT_CONTROL = 0x08,
    BIT_MASK = 0x80,
    BITS_LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127
};

static bool opcode_is_known(uint8_t opcode)
{
    return opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
}

static const char *first_byte_fault(uint8_t byte)
{
    if (byte & BITS_RSV2_RSV3)
        return "a reserved bit (RSV2 or RSV3) is set";
    if (!opcode_is_known(byte & BITS_OPCODE))
        return "a frame has a reserved opcode";
    if (!(byte & BIT_CONTROL))
        return NULL;
    if (!(byte & BIT_FIN))
        return "a control frame is fragmented";
    return byte & BIT_RSV1 ? "a control frame has RSV1 set" : NULL;
}

/* "The minimal number of bytes MUST be used to encode the length" (RFC 6455 §5.2). Finds a fault in
 * the bytes of an extended length as they come. */
static const char *length_fault(uint8_t form, const uint8_t *bytes, size_t len)
{
    if (form == LENGTH_16) {
        bool small = len >= 2 && bytes[0] == 0 && bytes[1] < LENGTH_16;
        return small ? "a frame's length is not encoded in the fewest bytes" : NULL;
    }
    if (len >= 1 && bytes[0] & 0x80)
        return "a 64-bit frame length has its top bit set";
    static const uint8_t zeros[6];
    bool small = len >= sizeof(zeros) && memcmp(bytes, zeros, sizeof(zeros)) == 0;
    return small ? "a frame's length is not encoded in the fewest bytes" : NULL;
}

const char *frame_fault(const uint8_t *data, size_t len)
{
    if (len == 0)
        return NULL;
    const char *fault = first_byte_fault(data[0]);
    if (fault || len == 1)
        return fault;
    uint8_t form = data[1] & BITS_LENGTH;
    if (form < LENGTH_16)
        return NULL;
    if (data[0] & BIT_CONTROL)
        return "a control frame is longer than 125 bytes";
    return length_fault(form, data + 2, len - 2);
}

static uint64_t read_length(const uint8_t *bytes, size_t count)
{
    uint64_t length = 0;
    for (size_t i = 0; i < count; i++)
        length = length << 8 | bytes[i];
    return length;
}

static size_t extended_bytes(uint8_t form)
{
    return form == LENGTH_64 ? 8 : form == LENGTH_16 ? 2 : 0;
}

int frame_decode(struct frame *out, const uint8_t *data, size_t len)
{
    if (frame_fault(data, len))
        return ERR_PROTOCOL;
    if (len < 2)
        return 0;
    uint8_t form = data[1] & BITS_LENGTH;
    size_t extended = extended_bytes(form);
    bool masked = data[1] & BIT_MASK;
    size_t size = 2 + extended + (masked ? 4 : 0);
    if (len < size)
        return 0;
    memset(out, 0, sizeof(*out));
    out->len = extended == 0 ? form : read_length(data + 2, extended);
    out->opcode = data[0] & BITS_OPCODE;
    out->fin = data[0] & BIT_FIN;
    out->rsv1 = data[0] & BIT_RSV1;
    out->masked = masked;
    if (masked)
        memcpy(out->key, data + 2 + extended, 4);
    return (int)size;
}

static uint8_t length_form(uint64_t len)
{
    return len < LENGTH_16 ? (uint8_t)len : len <= UINT16_MAX ? LENGTH_16 : LENGTH_64;
}

size_t frame_header_bytes(const struct frame *f)
{
    return 2 + extended_bytes(length_form(f->len)) + (f->masked ? 4 : 0);
}

size_t frame_encode(uint8_t *out, const struct frame *f)
{
    uint8_t form = length_form(f->len);
    size_t extended = extended_bytes(form);
    out[0] = (uint8_t)((f->fin ? BIT_FIN : 0) | (f->rsv1 ? BIT_RSV1 : 0) | f->opcode);
    out[1] = (uint8_t)((f->masked ? BIT_MASK : 0) | form);
    for (size_t i = 0; i < extended; i++)
        out[2 + i] = (uint8_t)(f->len >> 8 * (extended - 1 - i));
    size_t size = 2 + extended;
    if (f->masked) {
        memcpy(out + size, f->key, 4);
        size += 4;
    }
    return size;
}

void frame_encode_short(uint8_t *out, enum frame_opcode opcode, size_t len)
{
    out[0] = (uint8_t)(BIT_FIN | opcode);
    out[1] = (uint8_t)len;
}
