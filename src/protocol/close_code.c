/* Reads and writes the payload of a Close frame. */
#include "protocol/close_code.h"

#include <string.h>

#include "base/error.h"
#include "protocol/utf8.h"

bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

int close_decode(const uint8_t *payload, size_t len, uint16_t *code)
{
    if (len == 0) {
        *code = CLOSE_NO_STATUS;
        return 0;
    }
    if (len == 1)
        return ERR_PROTOCOL;
    uint16_t sent = (uint16_t)(payload[0] << 8 | payload[1]);
    if (!close_code_valid(sent))
        return ERR_PROTOCOL;
    if (!utf8_valid(payload + 2, len - 2))
        return ERR_UTF8;
    *code = sent;
    return 0;
}

/* The longest start of the reason that fits and does not cut a character. */
static size_t reason_that_fits(const char *reason, size_t len)
{
    if (len <= CLOSE_REASON_MAX)
        return len;
    size_t n = CLOSE_REASON_MAX;
    while (n > 0 && ((uint8_t)reason[n] & 0xc0) == 0x80)
        n--;
    return n;
}

size_t close_encode(uint8_t out[125], uint16_t code, const char *reason, size_t reason_len)
{
    if (code == CLOSE_NO_STATUS)
        return 0;
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    size_t n = reason_that_fits(reason, reason_len);
    if (n > 0)
        memcpy(out + 2, reason, n);
    return 2 + n;
}

uint16_t close_code_for(int error)
{
    switch (error) {
    case ERR_PROTOCOL:
        return CLOSE_PROTOCOL_ERROR;
    case ERR_UTF8:
        return CLOSE_INVALID_DATA;
    case ERR_TOO_BIG:
        return CLOSE_TOO_BIG;
    default:
        return CLOSE_INTERNAL_ERROR;
    }
}
