/* The end of a DEFLATE block, in bits (RFC 1951), for a compressor that cannot flush: a message is to
 * go on with an empty block where its own ended (RFC 7692 §7.2.1), which may be within a byte. And for
 * a decompressor that says in which byte a block ended, not at which bit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* data[0..len) is a stream as a compressor ends it: with a final block, and zeros to the end of the
 * byte. Returns how many bits the block has; 0 when there is more than one block, when the end cannot
 * be told without inflating it (a code of zeros alone ends it, which a compressor does not choose
 * unless nearly nothing came before), or when it is no such stream. */
size_t deflate_block_end(const uint8_t *data, size_t len);

/* data[0..len) is a message's payload whose first block has dynamic codes, and another decompressor
 * found it good and to end within data[block_bytes - 1]. Is that all of the message: do just the first
 * bits of an empty stored block follow, whose rest is the tail 00 00 ff ff? false also when that
 * cannot be told, or when the codes are such that decompressors differ about them. */
bool deflate_block_is_flushed(const uint8_t *data, size_t len, size_t block_bytes);
