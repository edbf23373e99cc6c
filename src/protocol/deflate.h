/* permessage-deflate payloads (RFC 7692 §7.2) with zlib. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* The caller chooses the window and the context: a server deflates with the server_ parameters of
 * the agreement and inflates with the client_ ones, a client the other way round. */

struct deflater; /* one direction's compressor */
struct inflater; /* one direction's decompressor */

/* window_bits is 8..15, level 1..9, memory_level 1..9. zlib makes 9 bits of 8, and cannot keep
 * distances within 256 bytes, so the handshake never agrees to compress with 8. Returns NULL when
 * out of memory. */
struct deflater *deflater_new(int window_bits, int level, int memory_level);
void deflater_free(struct deflater *d); /* d may be NULL */

/* Appends the compressed form of one whole message to *out, without its tail 00 00 ff ff (§7.2.1).
 * Without keep_context it starts from an empty window: for no_context_takeover, and for a frame
 * that many receivers share. Returns 0, or ERR_MEMORY: *out is then as it was, and the window is
 * forgotten. */
int deflater_message(struct deflater *d, const uint8_t *data, size_t len, bool keep_context,
                     struct buffer *out) __attribute__((warn_unused_result));

/* Forgets the window, so that the next message refers to nothing before it. This is needed after
 * the receiver was sent a message that another deflater made. */
void deflater_reset(struct deflater *d);

/* Bytes of memory that a deflater and an inflater of these settings hold (the formulas of
 * zconf.h). */
size_t deflater_memory(int window_bits, int memory_level);
size_t inflater_memory(int window_bits);

/* Compressors for messages without context. They are kept for the next such message, since making
 * and freeing one costs more than a short message does. All zero is empty. */
enum { DEFLATERS_KEPT = 4, DEFLATE_LEVELS = 10 };
struct deflaters {
    struct libdeflate_compressor *whole[DEFLATE_LEVELS]; /* by level */
    struct deflater *kept[DEFLATERS_KEPT];               /* for what those cannot do */
    unsigned next; /* the place that the next new deflater takes */
};

/* Does what deflater_message does from an empty window. libdeflate compresses faster, but it knows
 * no window below 32 KiB and cannot flush. So it is used only for short messages that the window
 * holds whole and that come out as one block, to which the flush is added. 0 or ERR_MEMORY. */
int deflaters_message(struct deflaters *all, int window_bits, int level, int memory_level,
                      const uint8_t *data, size_t len, struct buffer *out)
    __attribute__((warn_unused_result));
void deflaters_deinit(struct deflaters *all);

/* window_bits is 8..15, of which 8 is done with 9. A distance beyond the window is refused only
 * where zlib no longer has the bytes, which for windows below 15 may depend on how the data was
 * split. Returns NULL when out of memory. */
struct inflater *inflater_new(int window_bits);
void inflater_free(struct inflater *i); /* i may be NULL */
/* Bytes of memory that it holds. */
size_t inflater_held(const struct inflater *i);

/* Inflates a piece of a message's payload and appends the result to *out. `last` says that the
 * message ends with this piece: then the tail is supplied, unless the data ends with a whole block
 * already (§7.2.3.4 without its closing 00 octet, or a tail that the sender left on). After a block
 * with BFINAL more may follow (§7.2.1). Returns 0, or
 *   ERR_TOO_BIG   out->len would pass max_len; found before more memory is taken
 *   ERR_PROTOCOL  data that is not DEFLATE, or that ends within a block
 *   ERR_MEMORY
 * What was inflated before the fault is in *out then too. */
int inflater_push(struct inflater *i, const uint8_t *data, size_t len, bool last, size_t max_len,
                  struct buffer *out) __attribute__((warn_unused_result));

/* Inflates all of a message's payload without context, with the results of inflater_push on a fresh
 * inflater. It is faster for the usual case of a single block of 1 KiB or more, which libdeflate
 * inflates. The data is changed meanwhile, and is as it was afterwards. */
int inflater_message(struct inflater *i, uint8_t *data, size_t len, size_t max_len,
                     struct buffer *out) __attribute__((warn_unused_result));

/* Forgets the window, for no_context_takeover. */
void inflater_reset(struct inflater *i);
