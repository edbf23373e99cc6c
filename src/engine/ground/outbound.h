/* The output of one connection: what was queued and the system has not taken. Frames and HTTP bytes
 * go out in order; control frames are put ahead, at the next frame boundary.
 *
 * Output of one loop turn is appended to the worker's write arena, so that a connection which is
 * read by its peer owns no buffer; what a flush leaves behind is copied to the heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/shared.h"
#include "transport/transport.h"

/* A run of output bytes. With frames, data is skip bytes that end a frame begun in an earlier piece,
 * then whole WebSocket frames: a control frame may go between them. */
struct piece {
    struct piece *next;
    const uint8_t *data; /* NULL: a file */
    size_t len;
    size_t payload; /* of its messages, as the script gave them: no headers, not compressed */
    size_t skip;
    size_t sent; /* bytes of it that went out; only of a queue's first piece more than 0 */
    struct shared *shared; /* a reference, when data lies in a shared block */
    union {
        size_t spare; /* bytes that may still be written after data + len; heap pieces */
        off_t file_at;
    };
    int file;           /* owned; -1 when none */
    uint8_t skip_other; /* so many bytes of skip are no message's: a header's, a control frame's */
    uint8_t control;    /* the opcode of one control frame that was put ahead; else 0 */
    bool in_arena : 1;  /* this struct is the arena's, and so is its data unless shared */
    bool frames : 1;
    bool deflated : 1; /* some of its messages are compressed */
};

struct outbound {
    struct piece *head;
    struct piece *tail;
    size_t queued; /* bytes in all pieces, less those that were sent */
    size_t lost;   /* payload that was thrown away */
};

/* A bump allocator that is emptied at the end of each turn. */
struct arena {
    uint8_t *data;
    size_t cap;
    size_t used;
};

/* Room for len bytes in the queue's last piece, to be filled at once; NULL where it does not end where
 * the arena does, or that has no room. What the later of a connection's messages in one turn take. */
static inline uint8_t *outbound_extend(struct outbound *o, struct arena *a, size_t len, bool frames)
{
    struct piece *last = o->tail;
    uint8_t *at = a->data + a->used;
    if (!last || last->data + last->len != at || len > a->cap - a->used || !last->in_arena ||
        last->shared || last->frames != frames)
        return NULL;
    a->used += len;
    last->len += len;
    o->queued += len;
    return at;
}

/* Room for len bytes in a piece of its own at the end of the queue, to be filled at once. NULL: the
 * arena has no room (flush and settle everybody, empty it, and ask again). */
uint8_t *outbound_reserve(struct outbound *o, struct arena *a, size_t len, bool frames);
/* The same in a block of its own; skip as in struct piece. NULL: out of memory. */
uint8_t *outbound_heap(struct outbound *o, size_t len, size_t skip, bool frames);
/* A part of a shared block, whole frames; takes a reference. 0 or ERR_MEMORY. */
int outbound_shared(struct outbound *o, struct arena *a, struct shared *s, size_t at, size_t len);
/* What was queued last holds messages of so many bytes, before compression. */
static inline void outbound_counts(struct outbound *o, size_t payload, bool deflated)
{
    o->tail->payload += payload;
    o->tail->deflated |= deflated;
}
/* len bytes of a file from at; the descriptor is the queue's from now on, also on failure. */
int outbound_file(struct outbound *o, int file, off_t at, size_t len);
/* A Ping or Pong ahead of all data frames that are queued, but not inside one of which a part is
 * sent, not ahead of HTTP bytes or of earlier ones. A Pong takes the place of one that has not begun
 * to be sent (RFC 6455 §5.5.3): then 1. Otherwise 0 or ERR_MEMORY. */
int outbound_control(struct outbound *o, const uint8_t *frame, size_t len);

/* Hands pieces to the transport until the queue is empty (0), it refuses (ERR_AGAIN) or fails
 * (ERR_IO, ERR_CLOSED). */
int outbound_flush(struct outbound *o, struct transport *t);
/* A frame that is not queued: its header, and its payload, which was message_len bytes long before
 * it was compressed. */
struct outbound_frame {
    const uint8_t *header;
    size_t header_len;
    const uint8_t *payload;
    size_t payload_len;
    size_t message_len;
};
/* The same with one large frame after the queue; what the system does not take of it is copied to the
 * heap. Also ERR_MEMORY. */
int outbound_flush_with(struct outbound *o, struct transport *t, const struct outbound_frame *f);
/* Before the arena is emptied: moves what lies in it to the heap. 0 or ERR_MEMORY. */
int outbound_settle(struct outbound *o);
/* Throws away the frames that have not begun to be sent. Returns the bytes dropped. */
size_t outbound_drop(struct outbound *o);
/* bufferedAmount (WHATWG WebSockets §3.1): bytes of messages, as the script gave them, that the system
 * has not taken, and those that were thrown away. Exact, but for compressed messages: of some that
 * were queued together and are partly gone it is the share; and of what TLS has encrypted it is at
 * most the encrypted size. Costs a look at each piece, and at each frame once when it is gone. */
size_t outbound_payload(struct outbound *o, const struct transport *t);
void outbound_deinit(struct outbound *o);
