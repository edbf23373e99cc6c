/* Bit by bit: what is checked is short and rare. */
#include "protocol/crc32c.h"

enum { POLYNOMIAL = (int)0x82F63B78 }; /* 0x1EDC6F41 with its bits in reverse */

uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? (uint32_t)POLYNOMIAL : 0);
    }
    return ~crc;
}
