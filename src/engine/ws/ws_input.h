/* From the bytes of a WebSocket's peer to messages, and from these to events (RFC 6455 §6.2). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/conn/conn.h"

/* Takes bytes of the peer, which are unmasked in place and must stay until the batch is done. When
 * the batch holds much already, what is left of them is copied, and comes at the end of the turn:
 * a few bytes may be inflated to a thousand times as many. */
void ws_input(struct worker *w, struct conn *c, uint8_t *data, size_t len);
/* Takes what was held back, unless the script does not want to read now. */
void ws_input_resume(struct worker *w, struct conn *c);

/* The connection expires in so many seconds (0: never), or when the message that has come in part
 * has taken too long. */
void ws_input_deadline(struct worker *w, struct conn *c, uint32_t seconds);
/* Has a message taken longer than message_seconds? */
bool ws_input_is_late(const struct worker *w, struct conn *c);
/* The script has not read for a while: the message that has come in part gets all its time again.
 */
void ws_input_forgive(struct conn *c);
