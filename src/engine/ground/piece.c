/* Pieces of output: their memory, and the walk over the frames in them. */
#include "engine/ground/piece.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/frame.h"

struct piece *piece_new(size_t len, size_t cap)
{
    struct piece *p = malloc(sizeof(*p) + cap);
    if (p)
        *p = (struct piece){
            .data = (uint8_t *)(p + 1),
            .len = len,
            .spare = cap - len,
            .file = -1,
            .units = (uint32_t)((sizeof(*p) + cap + PIECE_UNIT - 1) / PIECE_UNIT),
        };
    return p;
}

void piece_free(struct piece *p)
{
    shared_unref(p->shared);
    if (p->file >= 0)
        close(p->file);
    if (!p->in_arena)
        free(p);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A frame of a piece, by offsets: its bytes of a message are those from body to end. A control
 * frame has none, so there body is end. */
struct extent {
    size_t body;
    size_t end;
};

/* The rest of the frame that an earlier piece began: empty where there is none. */
static struct extent first_frame(const struct piece *p)
{
    return (struct extent){p->skip_other, p->skip};
}

static struct extent next_frame(const struct piece *p, struct extent before)
{
    struct frame f;
    int header = frame_decode(&f, p->data + before.end, p->len - before.end);
    assert(header > 0); /* we encoded it */
    size_t body = before.end + (size_t)header;
    size_t end = body + (size_t)f.len;
    return (struct extent){f.opcode < FRAME_CLOSE ? body : end, end};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of messages, as they are encoded, in p before at. */
static size_t encoded_before(const struct piece *p, size_t at)
{
    struct extent f = first_frame(p);
    size_t n = least(f.end, at) - least(f.body, at);
    while (f.end < at) {
        f = next_frame(p, f);
        n += least(f.end, at) - least(f.body, at);
    }
    return n;
}

size_t piece_payload_before(const struct piece *p, size_t at)
{
    if (!p->frames || p->payload == 0 || at == 0)
        return 0;
    size_t n = encoded_before(p, at);
    size_t all = p->deflated ? encoded_before(p, p->len) : p->payload;
    return all == p->payload ? n : (size_t)((double)p->payload * (double)n / (double)all);
}

void piece_trim(struct piece *p)
{
    size_t at = p->sent;
    if (at == 0 || !p->frames)
        return;
    p->payload -= piece_payload_before(p, at);
    struct extent f = first_frame(p);
    while (f.end < at)
        f = next_frame(p, f);
    p->skip = f.end - at;
    p->skip_other = f.body > at ? (uint8_t)(f.body - at) : 0;
    p->data += at;
    p->len -= at;
    p->sent = 0;
}

struct piece *piece_split(struct piece *p, size_t at)
{
    size_t rest = p->len - at;
    size_t copied = p->shared ? 0 : rest;
    struct piece *q = piece_new(copied, copied);
    if (!q)
        return NULL;
    if (p->shared) {
        q->shared = shared_ref(p->shared);
        q->data = p->data + at;
        q->len = rest;
    } else {
        memcpy(q + 1, p->data + at, rest);
    }
    q->frames = true;
    q->deflated = p->deflated;
    q->payload = p->payload - piece_payload_before(p, at);
    p->payload -= q->payload;
    p->len = at;
    q->next = p->next;
    p->next = q;
    return q;
}
