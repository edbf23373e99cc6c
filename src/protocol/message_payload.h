/* Payloads: control frames (RFC 6455 §5.5) and data frames (§5.4, §5.6), each in place where it
 * comes whole. Part of the message reader. */
#pragma once

#include "protocol/message_reading.h"

/* Take what the input holds of the frame under way, whose header is known, and unmask it. Return 1
 * with *in->out filled, 0 when more is needed (a later frame, when in->partial->in_frame is false),
 * or
 *   ERR_PROTOCOL  a Close with a code that must not be sent (§7.4), or bad DEFLATE data
 *   ERR_UTF8      a text or a Close's reason that is not UTF-8
 *   ERR_TOO_BIG   an inflated message is longer than the rules allow
 *   ERR_MEMORY
 * After a Close nothing else is kept of the reader. */
int message_take_control(struct message_reading *in) __attribute__((warn_unused_result));
int message_take_data(struct message_reading *in) __attribute__((warn_unused_result));

/* Makes room for n more bytes behind the payload, of which the frame's count of done bytes knows
 * already, and, while the frame goes on, for some of what it announces. 0 or ERR_MEMORY. */
int message_reserve(struct message_partial *p, size_t n) __attribute__((warn_unused_result));
