/* What leaves a WebSocket (RFC 6455 §5, §6.1; RFC 7692 §7.2.1): messages become frames, masked in
 * the client's role (§5.3), compressed where that was agreed, at the end of the connection's
 * queue. */
#pragma once

#include "engine/conn/conn.h"
#include "protocol/deflate.h"
#include "protocol/extension.h"
#include "protocol/frame.h"

/* permessage-deflate of one connection. */
struct ws_deflate {
    struct deflate_params params;
    struct deflater *deflater; /* made at the first message that is compressed */
    uint8_t level;             /* the options it was made with */
    uint8_t memory_level;
    bool fresh; /* the peer's window holds bytes that are not ours: begin an empty one */
};

/* Queues a text or binary message; it is copied, or taken by the system. A text is UTF-8. 0;
 * ERR_CLOSED: the connection is dead; ERR_MEMORY: nothing was queued. */
int ws_output_message(struct worker *w, struct conn *c, const uint8_t *data, size_t len,
                      enum frame_opcode opcode) __attribute__((warn_unused_result));
/* Queues a control frame of at most FRAME_CONTROL_MAX bytes. ahead: not behind the data that waits,
 * but at the next frame boundary; a Pong takes the place of an unsent one there (§5.5.3), which is
 * counted. 0; ERR_CLOSED: the connection is dead; ERR_MEMORY. */
int ws_output_control(struct worker *w, struct conn *c, enum frame_opcode opcode,
                      const uint8_t *payload, size_t len, bool ahead)
    __attribute__((warn_unused_result));
/* Queues frames of a server, whole and unmasked (topics share them), masked for the server that c
 * is connected to. payload: the length of their messages before compression. 0, ERR_CLOSED or
 * ERR_PROTOCOL. */
int ws_output_masked(struct worker *w, struct conn *c, const uint8_t *frames, size_t len,
                     size_t payload) __attribute__((warn_unused_result));

/* Returns the window, in bits, with which the peer inflates our messages; c->deflate is there. */
uint8_t ws_output_window_bits(const struct conn *c);
/* Returns how messages to c are compressed, where that was agreed. */
const struct deflate_options *ws_output_deflate(const struct worker *w, const struct conn *c);

/* Emits EVENT_ERROR, unless the script knows already that the connection is closed. why: static. */
void ws_output_tell_failure(struct worker *w, struct conn *c, uint16_t code, const char *why);
