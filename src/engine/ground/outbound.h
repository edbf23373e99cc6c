/* The output queue of one connection: what the system has not taken yet. Frames and HTTP's bytes go
 * out in order; control frames may be put ahead of messages, between two frames.
 *
 * The output of one turn is appended to the worker's write arena, so that a connection whose peer
 * reads owns no buffer; what a flush (outbound_flush.h) leaves behind is copied to the heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/shared.h"
#include "engine/ground/piece.h"

struct outbound {
    struct piece *head;
    struct piece *tail;
    size_t queued;  /* bytes in all pieces that are not sent */
    uint32_t lost;  /* payload of messages that were thrown away; UINT32_MAX: so much or more */
    uint32_t units; /* of the pieces: their memory on the heap (PIECE_UNIT) */
};

/* A bump allocator that is emptied at the end of each turn. */
struct arena {
    uint8_t *data;
    size_t cap;
    size_t used;
};

/* Room for len bytes at the end of the queue's last piece, to be filled at once: this is where the
 * second and later messages of a turn go. NULL when the queue does not end where the arena does, or
 * the arena is full. */
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

/* Room for len bytes in a new piece in the arena, at the end of the queue, to be filled at once.
 * NULL when the arena is full: the caller then flushes and settles every connection, empties the
 * arena, and asks again. */
uint8_t *outbound_reserve(struct outbound *o, struct arena *a, size_t len, bool frames);
/* Room for len bytes in a new piece on the heap, whose first `skip` bytes end a frame that was
 * begun elsewhere. NULL when out of memory. */
uint8_t *outbound_heap(struct outbound *o, size_t len, size_t skip, bool frames);
/* Room for len bytes of a queue that the system refuses now, to be filled at once: on the heap,
 * where small output of several turns shares a piece. NULL when out of memory. */
uint8_t *outbound_keep(struct outbound *o, size_t len, bool frames);
/* Queues len bytes of a shared block, which are whole frames, and takes a reference to it. a may be
 * NULL: the piece is then on the heap, too. 0 or ERR_MEMORY. */
int outbound_shared(struct outbound *o, struct arena *a, struct shared *s, size_t at, size_t len)
    __attribute__((warn_unused_result));
/* Queues len bytes of a file. The queue owns the descriptor from now on, also when it fails. 0 or
 * ERR_MEMORY. */
int outbound_file(struct outbound *o, int file, off_t at, size_t len)
    __attribute__((warn_unused_result));
/* Notes that what was queued last holds messages of `payload` bytes before compression. */
static inline void outbound_note_payload(struct outbound *o, size_t payload, bool deflated)
{
    o->tail->payload += payload;
    o->tail->deflated |= deflated;
}
/* Queues a Ping or Pong ahead of all messages but the one that is partly sent, behind HTTP's bytes
 * and behind control frames that wait already. A Pong replaces one that waits and is not partly
 * sent (RFC 6455 §5.5.3), and the result is then 1. Otherwise 0 or ERR_MEMORY. */
int outbound_control(struct outbound *o, const uint8_t *frame, size_t len)
    __attribute__((warn_unused_result));

/* Takes n bytes, which the system has, off the front. n is at most o->queued. */
void outbound_advance(struct outbound *o, size_t n);
/* Moves what lies in the arena to the heap, before the arena is emptied. 0 or ERR_MEMORY. */
int outbound_settle(struct outbound *o) __attribute__((warn_unused_result));
/* Adds to o->lost. */
void outbound_note_lost(struct outbound *o, size_t payload);
/* Throws away all frames of which nothing is sent. Returns the number of bytes dropped. */
size_t outbound_drop(struct outbound *o);
/* Bytes of messages in the queue that are not sent, as the script gave them. Exact, except for
 * compressed messages that were queued together: when some bytes of these are sent, it is the share
 * of the bytes that are not. Walks over the pieces, and once over each frame after it was sent. */
size_t outbound_queued_payload(struct outbound *o);
/* Frees all pieces. */
void outbound_deinit(struct outbound *o);
