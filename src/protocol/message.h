/* From bytes to messages (RFC 6455 §5.4–§5.6, §8.1; RFC 7692 §6.2), in both roles. Pure.
 *
 * The reader of an idle connection is two words and owns nothing: memory is taken only while a
 * frame or a message is incomplete, while a window must be kept, and after a Close. Memory follows
 * the bytes that came, never the length that a header announces. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocol/message_parts.h"

/* Frees what the reader holds, which is then a fresh one again. */
void message_reader_deinit(struct message_reader *r);

/* Takes the next item from *data, *len, which advance past what was consumed. The input is unmasked
 * in place. Returns 1 with *out filled, 0 when the input is used up and more is needed, or
 *   ERR_PROTOCOL  frame or sequence error, wrong masking, bad close payload, bad DEFLATE data
 *   ERR_UTF8      text or a close reason that is not UTF-8, at the first bad byte
 *   ERR_TOO_BIG   as soon as a frame header, or inflating, shows it
 *   ERR_MEMORY
 * after which the reader must only be deinited, and *why is a static text for people ("a client's
 * frame is not masked"). Of several faults the first in the order of the bytes is reported, however
 * they are cut. Frames after a Close are consumed, and nothing is returned for them. */
int message_read(struct message_reader *r, const struct message_rules *rules, uint8_t **data,
                 size_t *len, struct message *out, const char **why)
    __attribute__((warn_unused_result));

/* For large frames without a copy: returns how many payload bytes may be read from the socket
 * straight to *into. That is 0 unless 16 KiB or more are missing of an uncompressed data frame
 * under way, and 0 when memory is short. After reading n bytes there, call message_filled, then
 * message_read with *len 0. The place is good until the next message_read. */
size_t message_space(struct message_reader *r, uint8_t **into);
void message_filled(struct message_reader *r, size_t n);

/* A word of the caller's that belongs to the message, or the control frame, that has come in part:
 * 0 at first, and gone at its end. NULL: none has, or a Close came. */
uint32_t *message_mark(struct message_reader *r);

/* Bytes of memory held for the incomplete message. */
size_t message_held(const struct message_reader *r);
/* Bytes of memory held for inflating: for the message under way, or to keep its window. */
size_t message_window_held(const struct message_reader *r);
