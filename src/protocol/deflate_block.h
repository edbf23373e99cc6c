/* The end of a DEFLATE block, in bits (RFC 1951). A compressor that cannot flush needs it: a
 * message must go on with an empty block where its own ended (RFC 7692 §7.2.1), which may be within
 * a byte. So does a decompressor that says in which byte a block ended, but not at which bit. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* data[0..len) is a stream as a compressor ends it: with a final block, and zeros up to the end of
 * the byte. Returns how many bits the block has, or 0 when there is more than one block, when the
 * end cannot be told without inflating (a code of zeros alone ends the block, which a compressor
 * does not choose unless nearly nothing came before), or when it is no such stream. */
size_t deflate_block_end(const uint8_t *data, size_t len);

/* data[0..len) is a message's payload whose first block has dynamic codes. Another decompressor
 * found that block good, and that it ends within data[block_bytes - 1]. Returns true when the block
 * is all of the message: just the first bits of an empty stored block follow, whose rest is the
 * tail 00 00 ff ff. Returns false when it is not, when that cannot be told, or when decompressors
 * differ about codes such as these. */
bool deflate_block_is_flushed(const uint8_t *data, size_t len, size_t block_bytes);
