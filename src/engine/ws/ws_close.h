/* How a WebSocket ends: the closing handshake (RFC 6455 §7.1), begun by us or by the peer, and
 * failing the connection (§7.1.7). */
#pragma once

#include "engine/conn/conn.h"
#include "protocol/message.h"

/* Its name in the log. */
const char *ws_close_name_of(const struct worker *w, const struct conn *c);

/* Begins the closing handshake (§7.1.2), behind everything that was sent or published before. 0, or
 * ERR_CLOSED: it is not open. */
int ws_close_begin(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
    __attribute__((warn_unused_result));
/* The peer's Close came (§5.5.1): answers it, or has seen the answer to ours. m's data must live
 * until the batch is done. */
void ws_close_answer(struct worker *w, struct conn *c, const struct message *m);
/* The script has had what came before a Close that was put off: it goes out now. */
void ws_close_finish(struct worker *w, struct conn *c);

/* The connection broke a rule of the protocol or a limit, named by why (static text): EVENT_ERROR,
 * a Close with the code, EVENT_CLOSE, the end (§7.1.7). */
void ws_close_fail(struct worker *w, struct conn *c, uint16_t code, const char *why);
/* The same, for what the peer has sent. The messages before were right: the script has them first,
 * and nothing of what it says to them, or publishes, is dropped. */
void ws_close_fail_behind_answers(struct worker *w, struct conn *c, uint16_t code, const char *why);

/* The peer's end was read without a closing handshake, of one that the script takes to be open:
 * EVENT_CLOSE 1006, and the end behind the script's answers. */
void ws_close_eof(struct worker *w, struct conn *c);
/* The socket is gone without a closing handshake: EVENT_CLOSE 1006, unless the script knows already
 * that it is closed. */
void ws_close_tell_lost(struct worker *w, struct conn *c);
/* Nothing more is said, and nothing published comes any more; what was read by half is let go. */
void ws_close_linger(struct worker *w, struct conn *c);
