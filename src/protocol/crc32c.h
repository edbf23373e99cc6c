/* CRC-32C, the checksum of Castagnoli (RFC 3720 §12.1, RFC 9260 Appendix A). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns the checksum of more bytes, after those that gave crc; 0 to begin with. */
uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len);
