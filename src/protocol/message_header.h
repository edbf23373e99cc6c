/* Frame headers as a message's reader sees them: their sequence, their masks and their lengths (RFC
 * 6455 §5.1, §5.2, §5.4; RFC 7692 §6). Part of the message reader. */
#pragma once

#include "protocol/message_reading.h"

/* Reads a header, of which earlier calls may have taken some bytes, and begins its frame in
 * in->partial. Returns 1 when the header is whole, 0 when the input is used up before, or
 *   ERR_PROTOCOL  the first fault in the order of the bytes, however they are cut
 *   ERR_TOO_BIG   the frame makes the message longer than the rules allow */
int message_header_read(struct message_reading *in) __attribute__((warn_unused_result));
