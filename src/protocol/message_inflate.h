/* Compressed messages (RFC 7692 §6.2, §7.1.1). Part of the message reader. */
#pragma once

#include "protocol/message_reading.h"

/* Inflates the next n payload bytes of the message under way, which are unmasked, to the end of
 * in->partial->payload, and checks a text. Takes an inflater where the reader has none. The bytes
 * at piece may change meanwhile. Returns 0, or
 *   ERR_UTF8      found in what came out before any fault of the compressed data
 *   ERR_PROTOCOL  not DEFLATE data
 *   ERR_TOO_BIG   more would come out than the rules allow
 *   ERR_MEMORY  */
int message_inflate(struct message_reading *in, uint8_t *piece, size_t n)
    __attribute__((warn_unused_result));

/* The compressed message is whole: without a context to keep, its inflater goes to the spare place
 * of the rules, or is freed. */
void message_inflate_end(struct message_reading *in);
