/* The queue: appending pieces, putting control frames ahead, taking from the front, moving to the
 * heap, and dropping. */
#include "engine/ground/outbound.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/frame.h"

enum {
    CONTROL_FRAME_MAX = 2 + 4 + FRAME_CONTROL_MAX,
    SETTLED_PIECE = 2048 /* least size of a heap piece that small output is gathered in */
};

/* ---- appending ------------------------------------------------------------------------------- */

static void append(struct outbound *o, struct piece *p)
{
    p->next = NULL;
    if (o->tail)
        o->tail->next = p;
    else
        o->head = p;
    o->tail = p;
    o->queued += p->len;
    o->units += p->units;
}

static struct piece *arena_piece(struct arena *a, size_t data_len)
{
    size_t at = (a->used + 15) & ~(size_t)15;
    if (at + sizeof(struct piece) + data_len > a->cap)
        return NULL;
    struct piece *p = (struct piece *)(void *)(a->data + at);
    *p = (struct piece){.data = (uint8_t *)(p + 1), .len = data_len, .file = -1, .in_arena = true};
    a->used = at + sizeof(*p) + data_len;
    return p;
}

uint8_t *outbound_reserve(struct outbound *o, struct arena *a, size_t len, bool frames)
{
    struct piece *p = arena_piece(a, len);
    if (!p)
        return NULL;
    p->frames = frames;
    append(o, p);
    return (uint8_t *)(p + 1);
}

uint8_t *outbound_heap(struct outbound *o, size_t len, size_t skip, bool frames)
{
    struct piece *p = piece_new(len, len);
    if (!p)
        return NULL;
    p->skip = skip;
    p->frames = frames;
    append(o, p);
    return (uint8_t *)(p + 1);
}

/* Does p, the queue's last, have room on the heap for len more bytes of this kind? */
static bool has_spare(const struct piece *p, size_t len, bool frames)
{
    return p && !p->in_arena && p->data && !p->shared && p->spare >= len && p->frames == frames;
}

uint8_t *outbound_keep(struct outbound *o, size_t len, bool frames)
{
    struct piece *last = o->tail;
    if (has_spare(last, len, frames)) {
        uint8_t *at = (uint8_t *)(uintptr_t)last->data + last->len;
        last->len += len;
        last->spare -= len;
        o->queued += len;
        return at;
    }
    struct piece *p = piece_new(len, len < SETTLED_PIECE ? SETTLED_PIECE : len);
    if (!p)
        return NULL;
    p->frames = frames;
    append(o, p);
    return (uint8_t *)(p + 1);
}

int outbound_shared(struct outbound *o, struct arena *a, struct shared *s, size_t at, size_t len)
{
    struct piece *p = a ? arena_piece(a, 0) : NULL;
    if (!p)
        p = piece_new(0, 0);
    if (!p)
        return ERR_MEMORY;
    p->data = s->data + at;
    p->len = len;
    p->shared = shared_ref(s);
    p->frames = true;
    append(o, p);
    return 0;
}

int outbound_file(struct outbound *o, int file, off_t at, size_t len)
{
    struct piece *p = piece_new(0, 0);
    if (!p) {
        close(file);
        return ERR_MEMORY;
    }
    p->data = NULL;
    p->len = len;
    p->file = file;
    p->file_at = at;
    append(o, p);
    return 0;
}

/* ---- control frames -------------------------------------------------------------------------- */

static void trim(struct outbound *o)
{
    if (o->head)
        piece_trim(o->head);
}

static bool replace_pong(struct outbound *o, const uint8_t *frame, size_t len)
{
    for (struct piece *p = o->head; p; p = p->next)
        if (p->control == FRAME_PONG && p->skip == 0) {
            memcpy((uint8_t *)(uintptr_t)p->data, frame, len);
            o->queued += len - p->len;
            p->len = len;
            return true;
        }
    return false;
}

/* Puts p behind before; at the front when before is NULL. */
static void insert(struct outbound *o, struct piece *before, struct piece *p)
{
    struct piece **link = before ? &before->next : &o->head;
    p->next = *link;
    *link = p;
    if (!p->next)
        o->tail = p;
    o->queued += p->len;
    o->units += p->units;
}

static int split(struct outbound *o, struct piece *p, size_t at)
{
    struct piece *rest = piece_split(p, at);
    if (!rest)
        return ERR_MEMORY;
    if (o->tail == p)
        o->tail = rest;
    o->units += rest->units;
    return 0;
}

int outbound_control(struct outbound *o, const uint8_t *frame, size_t len)
{
    uint8_t opcode = frame[0] & 0xf;
    trim(o);
    if (opcode == FRAME_PONG && replace_pong(o, frame, len))
        return 1;
    struct piece *control = piece_new(len, CONTROL_FRAME_MAX);
    if (!control)
        return ERR_MEMORY;
    memcpy(control + 1, frame, len);
    control->frames = true;
    control->spare = 0; /* so that nothing is gathered behind it (outbound_settle) */
    control->control = opcode;

    struct piece *before = NULL;
    for (struct piece *p = o->head; p; p = p->next) {
        size_t at = p->frames ? p->skip : p->len;
        if (p->frames && at == 0 && !p->control)
            break;
        if (at < p->len && !p->control && split(o, p, at) < 0) {
            piece_free(control);
            return ERR_MEMORY;
        }
        before = p;
    }
    insert(o, before, control);
    return 0;
}

/* ---- taking, moving, dropping ---------------------------------------------------------------- */

void outbound_advance(struct outbound *o, size_t n)
{
    o->queued -= n;
    while (o->head) {
        struct piece *p = o->head;
        if (n < p->len - p->sent) {
            p->sent += n;
            return;
        }
        n -= p->len - p->sent;
        o->head = p->next;
        if (!o->head)
            o->tail = NULL;
        o->units -= p->units;
        piece_free(p);
    }
}

/* Small output of earlier turns shares heap pieces, so that a slow reader does not cost a piece for
 * each message. */
static bool add_to_spare(struct piece *last, const struct piece *p)
{
    if (p->shared || !has_spare(last, p->len, p->frames))
        return false;
    assert(p->skip == 0 && p->sent == 0); /* only the queue's first piece is partly sent */
    memcpy((uint8_t *)(uintptr_t)last->data + last->len, p->data, p->len);
    last->len += p->len;
    last->spare -= p->len;
    last->payload += p->payload;
    last->deflated |= p->deflated;
    return true;
}

/* What is not sent of a piece in the arena, as one on the heap that takes over its reference. NULL
 * when out of memory. */
static struct piece *to_heap(const struct piece *p)
{
    size_t len = p->len - p->sent;
    size_t copied = p->shared ? 0 : len;
    size_t cap = copied > 0 && copied < SETTLED_PIECE ? SETTLED_PIECE : copied;
    struct piece *q = piece_new(copied, cap);
    if (!q)
        return NULL;
    uint32_t units = q->units;
    memcpy(q + 1, p->data + p->sent, copied);
    *q = *p;
    q->units = units;
    q->data = p->shared ? p->data + p->sent : (uint8_t *)(q + 1);
    q->len = len;
    q->sent = 0;
    q->spare = cap - copied;
    q->in_arena = false;
    return q;
}

int outbound_settle(struct outbound *o)
{
    struct piece *last = NULL; /* the piece before p, settled */
    trim(o);
    for (struct piece *p = o->head; p; p = last->next) {
        struct piece *q = p;
        if (p->in_arena)
            q = add_to_spare(last, p) ? last : to_heap(p);
        if (!q)
            return ERR_MEMORY;
        if (q != p && q != last)
            o->units += q->units;
        if (q == last)
            last->next = p->next;
        else if (last)
            last->next = q;
        else
            o->head = q;
        if (o->tail == p)
            o->tail = q;
        last = q;
    }
    return 0;
}

void outbound_note_lost(struct outbound *o, size_t payload)
{
    o->lost = payload < UINT32_MAX - o->lost ? o->lost + (uint32_t)payload : UINT32_MAX;
}

size_t outbound_drop(struct outbound *o)
{
    struct piece *last = NULL; /* the last piece that stays */
    size_t before = o->queued;
    trim(o);
    struct piece *p = o->head;
    for (; p && !p->frames; p = p->next)
        last = p;
    if (p && p->skip > 0) { /* the end of a frame that is partly sent */
        size_t kept = piece_payload_before(p, p->skip);
        outbound_note_lost(o, p->payload - kept);
        o->queued -= p->len - p->skip;
        p->payload = kept;
        p->len = p->skip;
        last = p;
        p = p->next;
    }
    *(last ? &last->next : &o->head) = NULL;
    o->tail = last;
    while (p) {
        struct piece *next = p->next;
        o->queued -= p->len;
        o->units -= p->units;
        outbound_note_lost(o, p->payload);
        piece_free(p);
        p = next;
    }
    return before - o->queued;
}

size_t outbound_queued_payload(struct outbound *o)
{
    size_t n = 0;
    trim(o);
    for (const struct piece *p = o->head; p; p = p->next)
        n += p->payload;
    return n;
}

void outbound_deinit(struct outbound *o)
{
    for (struct piece *p = o->head; p;) {
        struct piece *next = p->next;
        piece_free(p);
        p = next;
    }
    *o = (struct outbound){0};
}
