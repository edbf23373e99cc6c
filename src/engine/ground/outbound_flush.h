/* From a connection's output queue to the system, and how much of its messages the system lacks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/ground/outbound.h"
#include "transport/transport.h"

/* Hands pieces to the transport until the queue is empty and TLS holds nothing (0), or until it
 * refuses (ERR_AGAIN) or fails (ERR_IO, ERR_CLOSED). */
int outbound_flush(struct outbound *o, struct transport *t) __attribute__((warn_unused_result));

/* A frame that is not queued. */
struct outbound_frame {
    const uint8_t *header;
    size_t header_len;
    const uint8_t *payload;
    size_t payload_len;
    size_t message_len; /* bytes of the payload before it was compressed */
};

/* Flushes the queue and then one large frame, without copying what the system takes of the frame;
 * the rest of it is queued on the heap. Results as of outbound_flush, and ERR_MEMORY. */
int outbound_flush_with(struct outbound *o, struct transport *t, const struct outbound_frame *f)
    __attribute__((warn_unused_result));

/* bufferedAmount (WHATWG WebSockets §3.1): bytes of messages, as the script gave them, that the
 * system has not taken or that were thrown away. As exact as outbound_queued_payload; of what TLS
 * has encrypted and not sent it counts at most the encrypted size. */
size_t outbound_payload(struct outbound *o, const struct transport *t);
