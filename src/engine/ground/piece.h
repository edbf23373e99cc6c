/* A piece of a connection's output: bytes of HTTP, a part of a file, or WebSocket frames. This file
 * knows where frames begin in a piece, and how many bytes of the script's messages they carry. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/shared.h"

/* With `frames`, the data is `skip` bytes that end a frame begun in an earlier piece, followed by
 * whole frames: a control frame may be put between any two of them. */
struct piece {
    struct piece *next;
    const uint8_t *data; /* NULL for a file */
    size_t len;
    size_t payload; /* bytes of its messages as the script gave them: no headers, not compressed */
    size_t skip;
    size_t sent;           /* bytes that went out; only a queue's first piece has any */
    struct shared *shared; /* a reference, when data lies in a shared block; else NULL */
    union {
        size_t spare; /* of a heap piece: bytes that may still be written after data + len */
        off_t file_at;
    };
    int file;           /* owned; -1 when there is none */
    uint32_t units;     /* of memory on the heap, of PIECE_UNIT bytes, without what is shared */
    uint8_t skip_other; /* the first bytes of skip that are a header's or a control frame's */
    uint8_t control;    /* the opcode, when it is one control frame that was put ahead; else 0 */
    bool in_arena : 1;  /* this struct is in the arena, and so is its data unless shared */
    bool frames : 1;
    bool deflated : 1; /* some of its messages are compressed */
};

enum { PIECE_UNIT = 64 };

/* A piece on the heap with room for cap bytes behind it, of which len are its data, to be filled by
 * the caller. NULL when out of memory. */
struct piece *piece_new(size_t len, size_t cap) __attribute__((warn_unused_result));
/* Gives back what the piece owns: its shared block, its file, and itself unless it is in the
 * arena. */
void piece_free(struct piece *p);

/* How many bytes of the payload lie in the first `at` bytes. Of compressed messages it is the share
 * of their compressed bytes. */
size_t piece_payload_before(const struct piece *p, size_t at);
/* Makes a piece of frames begin where it is not sent. HTTP's pieces stay as they are. */
void piece_trim(struct piece *p);
/* Cuts p, of which nothing is sent, at a frame's boundary, and puts the rest behind it in its list.
 * Returns the rest, or NULL when out of memory (p is then unchanged). */
struct piece *piece_split(struct piece *p, size_t at) __attribute__((warn_unused_result));
