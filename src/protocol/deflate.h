/* permessage-deflate payloads (RFC 7692 §7.2) with zlib. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Which side's window and context this is about is the caller's concern: a server deflates with the
 * server_ parameters and inflates with the client_ ones. */

struct deflater; /* one direction's compressor */
struct inflater; /* one direction's decompressor */

/* window_bits 8..15 (8 is done with zlib's 9, and a flag that keeps distances within 256 bytes is
 * not available: the handshake therefore never agrees to compress with 8), level 1..9,
 * memory_level 1..9. NULL when out of memory. */
struct deflater *deflater_new(int window_bits, int level, int memory_level);
void deflater_free(struct deflater *d);
/* Appends the compressed form of one whole message, without the 00 00 ff ff tail, to *out.
 * keep_context false starts from an empty window: for no_context_takeover, and for a frame that is
 * shared by many receivers. 0 or ERR_MEMORY (*out is then as it was, and the window forgotten). */
int deflater_message(struct deflater *d, const uint8_t *data, size_t len, bool keep_context,
                     struct buffer *out) __attribute__((warn_unused_result));
/* Forgets the window: what follows refers to nothing before. Needed after a message that this
 * deflater did not make was sent to its receiver. */
void deflater_reset(struct deflater *d);
/* Bytes of memory that a deflater / inflater of these settings holds (zlib's documented formula). */
size_t deflater_memory(int window_bits, int memory_level);
size_t inflater_memory(int window_bits);

/* Compressors for messages without context, kept for the next such message: making and freeing one
 * costs more than a short message. All zero is empty. */
enum { DEFLATERS_KEPT = 4, DEFLATE_LEVELS = 10 };
struct deflaters {
    struct libdeflate_compressor *whole[DEFLATE_LEVELS]; /* by level */
    struct deflater *kept[DEFLATERS_KEPT];               /* for what those cannot do */
    unsigned next; /* to make room when all places are taken */
};

/* As deflater_message from an empty window. Short messages are compressed by libdeflate, which is
 * faster but knows no window below 32 KiB and cannot flush: so only those that the window holds
 * whole, and that come out as one block, to which the flush is added. 0 or ERR_MEMORY. */
int deflaters_message(struct deflaters *all, int window_bits, int level, int memory_level,
                      const uint8_t *data, size_t len, struct buffer *out)
    __attribute__((warn_unused_result));
void deflaters_deinit(struct deflaters *all);

/* window_bits 8..15; 8 is done with 9. A distance beyond the window is refused only where zlib has
 * not the bytes any more, which for windows below 15 may depend on how the data was split. NULL when
 * out of memory. */
struct inflater *inflater_new(int window_bits);
void inflater_free(struct inflater *i);
/* Inflates a piece of a message's payload and appends to *out. last: the message ends with this
 * piece, so the tail is supplied, unless the data already ends with a whole block (§7.2.3.4 without
 * its closing 00 octet, or a tail that the sender left on). Never lets out->len pass max_len:
 * ERR_TOO_BIG is returned while inflating, before more memory is taken. ERR_PROTOCOL for data that
 * is not DEFLATE, or that ends within a block. After a block with BFINAL, more may follow (§7.2.1).
 * ERR_MEMORY. What was inflated before the fault is in *out also when this fails. */
int inflater_push(struct inflater *i, const uint8_t *data, size_t len, bool last, size_t max_len,
                  struct buffer *out) __attribute__((warn_unused_result));
/* All of a message's payload, without context: as inflater_push (last) on a fresh inflater, but faster
 * for the usual case of a single block of 1 KiB or more, which libdeflate inflates. The data is changed meanwhile, and
 * as it was afterwards. */
int inflater_message(struct inflater *i, uint8_t *data, size_t len, size_t max_len,
                     struct buffer *out) __attribute__((warn_unused_result));
/* Forgets the window (no_context_takeover). */
void inflater_reset(struct inflater *i);
