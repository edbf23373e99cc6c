#include "engine/outbound.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/frame.h"

enum {
    FLUSH_PIECES = 64, /* gathered in one system call */
    CONTROL_FRAME_MAX = 2 + 4 + FRAME_CONTROL_MAX,
    SETTLED_PIECE = 2048 /* least size of a heap piece that small output is gathered in */
};

static void append(struct outbound *o, struct piece *p)
{
    p->next = NULL;
    if (o->tail)
        o->tail->next = p;
    else
        o->head = p;
    o->tail = p;
    o->queued += p->len;
}

static void release(struct piece *p)
{
    shared_unref(p->shared);
    if (p->file >= 0)
        close(p->file);
    if (!p->in_arena)
        free(p);
}

static struct piece *arena_piece(struct arena *a, size_t data_len)
{
    size_t at = (a->used + 15) & ~(size_t)15;
    if (at + sizeof(struct piece) + data_len > a->cap)
        return NULL;
    struct piece *p = (struct piece *)(void *)(a->data + at);
    *p = (struct piece){.data = (uint8_t *)(p + 1), .len = data_len, .file = -1, .in_arena = true};
    a->used = at + sizeof *p + data_len;
    return p;
}

static struct piece *heap_piece(size_t data_len, size_t cap)
{
    struct piece *p = malloc(sizeof *p + cap);
    if (p)
        *p = (struct piece){
            .data = (uint8_t *)(p + 1), .len = data_len, .spare = cap - data_len, .file = -1};
    return p;
}

uint8_t *outbound_reserve(struct outbound *o, struct arena *a, size_t len, bool frames)
{
    struct piece *last = o->tail;
    if (last && last->in_arena && !last->shared && last->frames == frames &&
        last->data + last->len == a->data + a->used && a->used + len <= a->cap) {
        uint8_t *at = a->data + a->used;
        a->used += len;
        last->len += len;
        o->queued += len;
        return at;
    }
    struct piece *p = arena_piece(a, len);
    if (!p)
        return NULL;
    p->frames = frames;
    append(o, p);
    return (uint8_t *)(p + 1);
}

uint8_t *outbound_heap(struct outbound *o, size_t len, size_t skip, bool frames)
{
    struct piece *p = heap_piece(len, len);
    if (!p)
        return NULL;
    p->skip = skip;
    p->frames = frames;
    append(o, p);
    return (uint8_t *)(p + 1);
}

int outbound_shared(struct outbound *o, struct arena *a, struct shared *s, size_t at, size_t len)
{
    struct piece *p = arena_piece(a, 0);
    if (!p)
        p = heap_piece(0, 0);
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
    struct piece *p = heap_piece(0, 0);
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

/* Where the first frame that begins at or after at begins. */
static size_t boundary_after(const struct piece *p, size_t at)
{
    size_t i = p->skip;
    while (i < at) {
        struct frame f;
        int header = frame_decode(&f, p->data + i, p->len - i);
        if (header <= 0)
            return p->len; /* not reached: these are our own frames */
        i += (size_t)header + (size_t)f.len;
    }
    return i;
}

/* Splits p so that it ends at at, on a frame's boundary. */
static int split(struct outbound *o, struct piece *p, size_t at)
{
    size_t rest = p->len - at;
    struct piece *q = heap_piece(p->shared ? 0 : rest, p->shared ? 0 : rest);
    if (!q)
        return ERR_MEMORY;
    q->frames = true;
    if (p->shared) {
        q->shared = shared_ref(p->shared);
        q->data = p->data + at;
        q->len = rest;
    } else {
        memcpy(q + 1, p->data + at, rest);
    }
    p->len = at;
    p->spare = 0;
    q->next = p->next;
    p->next = q;
    if (o->tail == p)
        o->tail = q;
    return 0;
}

static bool replace_pong(struct outbound *o, const uint8_t *frame, size_t len)
{
    for (struct piece *p = o->head; p; p = p->next)
        if (p->control == FRAME_PONG && !(p == o->head && o->sent > 0)) {
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
}

int outbound_control(struct outbound *o, const uint8_t *frame, size_t len)
{
    uint8_t opcode = frame[0] & 0xf;
    if (opcode == FRAME_PONG && replace_pong(o, frame, len))
        return 1;
    struct piece *control = heap_piece(len, CONTROL_FRAME_MAX);
    if (!control)
        return ERR_MEMORY;
    memcpy(control + 1, frame, len);
    control->frames = true;
    control->spare = 0;
    control->control = opcode;

    struct piece *before = NULL;
    for (struct piece *p = o->head; p; p = p->next) {
        size_t at = p->frames ? boundary_after(p, p == o->head ? o->sent : 0) : p->len;
        if (p->frames && at == 0 && !p->control)
            break;
        if (at < p->len && !p->control && split(o, p, at) < 0) {
            free(control);
            return ERR_MEMORY;
        }
        before = p;
    }
    insert(o, before, control);
    return 0;
}

static void advance(struct outbound *o, size_t n)
{
    o->queued -= n;
    o->sent += n;
    while (o->head && o->sent >= o->head->len) {
        struct piece *p = o->head;
        o->sent -= p->len;
        o->head = p->next;
        if (!o->head)
            o->tail = NULL;
        release(p);
    }
}

/* The queue's first pieces as iov; stops at a file. Returns how many. */
static int gather(const struct outbound *o, struct iovec *iov, size_t *total)
{
    int n = 0;
    size_t skip = o->sent;
    *total = 0;
    for (struct piece *p = o->head; p && p->data && n < FLUSH_PIECES; p = p->next) {
        iov[n].iov_base = (void *)(uintptr_t)(p->data + skip);
        iov[n].iov_len = p->len - skip;
        *total += iov[n++].iov_len;
        skip = 0;
    }
    return n;
}

static long flush_file(struct outbound *o, struct transport *t)
{
    struct piece *p = o->head;
    long n = transport_send_file(t, p->file, &p->file_at, p->len - o->sent);
    return n == 0 ? ERR_IO : n; /* the file was cut short: the promised length cannot be kept */
}

int outbound_flush(struct outbound *o, struct transport *t)
{
    while (o->head) {
        long n;
        size_t offered;
        if (!o->head->data) {
            offered = o->head->len - o->sent;
            n = flush_file(o, t);
        } else if (!o->head->next) {
            offered = o->head->len - o->sent;
            n = transport_write(t, o->head->data + o->sent, offered);
        } else {
            struct iovec iov[FLUSH_PIECES];
            int count = gather(o, iov, &offered);
            n = transport_writev(t, iov, count);
        }
        if (n < 0)
            return (int)n;
        advance(o, (size_t)n);
        /* A plain socket that takes a part is full: asking again would only cost a system call. */
        if ((size_t)n < offered && !t->tls && o->head && o->head->data)
            return ERR_AGAIN;
    }
    return transport_flush(t);
}

/* Queues what a write left of header and payload, of which taken bytes are gone. */
static int keep_rest(struct outbound *o, const uint8_t *header, size_t header_len,
                     const uint8_t *payload, size_t payload_len, size_t taken)
{
    size_t rest = header_len + payload_len - taken;
    uint8_t *at = outbound_heap(o, rest, taken > 0 ? rest : 0, true);
    if (!at)
        return ERR_MEMORY;
    if (taken < header_len) {
        memcpy(at, header + taken, header_len - taken);
        at += header_len - taken;
        taken = header_len;
    }
    memcpy(at, payload + (taken - header_len), payload_len - (taken - header_len));
    return 0;
}

int outbound_flush_with(struct outbound *o, struct transport *t, const uint8_t *header,
                        size_t header_len, const uint8_t *payload, size_t payload_len)
{
    size_t frame_len = header_len + payload_len;
    size_t taken = 0;
    int status = 0;
    do {
        struct iovec iov[FLUSH_PIECES + 2];
        size_t queued;
        int n = gather(o, iov, &queued);
        if (queued < o->queued) { /* more than fits one call, or a file */
            status = outbound_flush(o, t);
            if (status < 0)
                break;
            continue;
        }
        if (taken < header_len)
            iov[n++] = (struct iovec){(void *)(uintptr_t)(header + taken), header_len - taken};
        size_t done = taken > header_len ? taken - header_len : 0;
        iov[n++] = (struct iovec){(void *)(uintptr_t)(payload + done), payload_len - done};
        long written = transport_writev(t, iov, n);
        if (written < 0) {
            status = (int)written;
            break;
        }
        size_t of_queue = (size_t)written < queued ? (size_t)written : queued;
        advance(o, of_queue);
        taken += (size_t)written - of_queue;
        if (taken < frame_len && !t->tls)
            status = ERR_AGAIN;
    } while (status == 0 && taken < frame_len);
    if (taken == frame_len)
        return transport_flush(t);
    if (status != ERR_AGAIN)
        return status;
    int kept = keep_rest(o, header, header_len, payload, payload_len, taken);
    return kept < 0 ? kept : ERR_AGAIN;
}

/* Small output of earlier turns shares heap pieces, so that a slow reader does not cost a piece for
 * each message. */
static bool add_to_spare(struct piece *last, const struct piece *p, size_t from)
{
    size_t len = p->len - from;
    if (!last || last->in_arena || last->spare < len || last->frames != p->frames)
        return false;
    memcpy((uint8_t *)(uintptr_t)last->data + last->len, p->data + from, len);
    last->len += len;
    last->spare -= len;
    return true;
}

int outbound_settle(struct outbound *o)
{
    struct piece *last = NULL; /* the settled piece before p */
    for (struct piece *p = o->head; p; p = p->next) {
        if (!p->in_arena) {
            last = p;
            continue;
        }
        size_t from = p == o->head ? o->sent : 0;
        struct piece *q;
        if (p->shared) {
            q = heap_piece(0, 0);
            if (!q)
                return ERR_MEMORY;
            q->data = p->data + from;
            q->len = p->len - from;
            q->shared = p->shared; /* the reference moves */
        } else if (p->skip == 0 && from == 0 && add_to_spare(last, p, 0)) {
            last->next = p->next;
            if (o->tail == p)
                o->tail = last;
            continue;
        } else {
            size_t len = p->len - from;
            q = heap_piece(len, len < SETTLED_PIECE ? SETTLED_PIECE : len);
            if (!q)
                return ERR_MEMORY;
            memcpy(q + 1, p->data + from, len);
        }
        q->frames = p->frames;
        q->skip = p->frames ? boundary_after(p, from) - from : 0;
        q->next = p->next;
        if (last) {
            last->next = q;
        } else {
            o->head = q;
            o->sent = 0;
        }
        if (o->tail == p)
            o->tail = q;
        last = q;
        p = q;
    }
    return 0;
}

size_t outbound_drop(struct outbound *o)
{
    struct piece *last = NULL;
    struct piece *p = o->head;
    while (p && !p->frames) {
        last = p;
        p = p->next;
    }
    if (!p)
        return 0;
    size_t keep = p == o->head ? boundary_after(p, o->sent) : p->skip;
    size_t dropped = 0;
    if (keep > 0) {
        dropped += p->len - keep;
        p->len = keep;
        p->spare = 0;
        last = p;
        p = p->next;
    }
    if (last)
        last->next = NULL;
    else
        o->head = NULL;
    o->tail = last;
    while (p) {
        struct piece *next = p->next;
        dropped += p->len;
        release(p);
        p = next;
    }
    if (!o->head)
        o->sent = 0;
    o->queued -= dropped;
    return dropped;
}

void outbound_deinit(struct outbound *o)
{
    for (struct piece *p = o->head; p;) {
        struct piece *next = p->next;
        release(p);
        p = next;
    }
    *o = (struct outbound){0};
}
