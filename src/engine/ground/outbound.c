#include "engine/ground/outbound.h"

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

/* Bytes of messages, as they are encoded, in p before at. */
static size_t encoded_before(const struct piece *p, size_t at)
{
    size_t of_skip = at < p->skip ? at : p->skip;
    size_t n = of_skip > p->skip_other ? of_skip - p->skip_other : 0;
    for (size_t i = p->skip; i < at;) {
        struct frame f;
        int header = frame_decode(&f, p->data + i, p->len - i);
        if (header <= 0)
            return n; /* not reached */
        size_t body = i + (size_t)header;
        i = body + (size_t)f.len;
        if (f.opcode < FRAME_CLOSE && at > body)
            n += (i < at ? i : at) - body;
    }
    return n;
}

/* The payload of what lies in p before at. */
static size_t payload_before(const struct piece *p, size_t at)
{
    if (!p->frames || p->payload == 0 || at == 0)
        return 0;
    size_t n = encoded_before(p, at);
    size_t all = p->deflated ? encoded_before(p, p->len) : p->payload;
    return all == p->payload ? n : (size_t)((double)p->payload * (double)n / (double)all);
}

/* How many bytes from at on belong to a header or a control frame of which a part lies before at. */
static uint8_t other_after(const struct piece *p, size_t at)
{
    if (at < p->skip)
        return at < p->skip_other ? (uint8_t)(p->skip_other - at) : 0;
    for (size_t i = p->skip; i < at;) {
        struct frame f;
        int header = frame_decode(&f, p->data + i, p->len - i);
        if (header <= 0)
            return 0; /* not reached */
        size_t body = i + (size_t)header;
        i = body + (size_t)f.len;
        size_t other = f.opcode < FRAME_CLOSE ? body : i;
        if (at < i)
            return other > at ? (uint8_t)(other - at) : 0;
    }
    return 0;
}

/* The head piece begins where it is not sent. */
static void trim(struct outbound *o)
{
    struct piece *p = o->head;
    if (!p || p->sent == 0 || !p->frames)
        return;
    size_t at = p->sent;
    size_t payload = p->payload - payload_before(p, at);
    uint8_t other = other_after(p, at);
    p->skip = boundary_after(p, at) - at;
    p->skip_other = other;
    p->payload = payload;
    p->data += at;
    p->len -= at;
    p->sent = 0;
}

static size_t queued_payload(struct outbound *o)
{
    size_t n = 0;
    trim(o);
    for (const struct piece *p = o->head; p; p = p->next)
        n += p->payload;
    return n;
}

size_t outbound_payload(struct outbound *o, const struct transport *t)
{
    size_t unsent = t->held > 0 ? transport_unsent(t) : 0;
    return queued_payload(o) + o->lost + (t->held < unsent ? t->held : unsent);
}

/* Splits p so that it ends at at, on a frame's boundary. */
static int split(struct outbound *o, struct piece *p, size_t at)
{
    size_t rest = p->len - at;
    struct piece *q = heap_piece(p->shared ? 0 : rest, p->shared ? 0 : rest);
    if (!q)
        return ERR_MEMORY;
    q->frames = true;
    q->deflated = p->deflated;
    q->payload = p->payload - payload_before(p, at);
    p->payload -= q->payload;
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
}

int outbound_control(struct outbound *o, const uint8_t *frame, size_t len)
{
    uint8_t opcode = frame[0] & 0xf;
    trim(o);
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
        size_t at = p->frames ? p->skip : p->len;
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
        release(p);
    }
}

/* The queue's first pieces as iov; stops at a file. Returns how many. */
static int gather(const struct outbound *o, struct iovec *iov, size_t *total)
{
    int n = 0;
    *total = 0;
    for (struct piece *p = o->head; p && p->data && n < FLUSH_PIECES; p = p->next) {
        iov[n].iov_base = (void *)(uintptr_t)(p->data + p->sent);
        iov[n].iov_len = p->len - p->sent;
        *total += iov[n++].iov_len;
    }
    return n;
}

static long flush_file(struct outbound *o, struct transport *t)
{
    struct piece *p = o->head;
    long n = transport_send_file(t, p->file, &p->file_at, p->len - p->sent);
    return n == 0 ? ERR_IO : n; /* the file was cut short: the promised length cannot be kept */
}

static int flush(struct outbound *o, struct transport *t)
{
    while (o->head) {
        long n;
        size_t offered;
        if (!o->head->data) {
            offered = o->head->len - o->head->sent;
            n = flush_file(o, t);
        } else if (!o->head->next) {
            offered = o->head->len - o->head->sent;
            n = transport_write(t, o->head->data + o->head->sent, offered);
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

/* TLS may hold what it took: of before, the payload that was there, some is no longer queued. */
static void note_held(struct outbound *o, struct transport *t, size_t before)
{
    if (transport_wants_write(t))
        t->held += (uint32_t)(before - queued_payload(o));
    else
        t->held = 0;
}

int outbound_flush(struct outbound *o, struct transport *t)
{
    if (!t->tls)
        return flush(o, t);
    size_t before = queued_payload(o);
    int status = flush(o, t);
    note_held(o, t, before);
    return status;
}

/* Queues what a write left of f, of which taken bytes are gone. */
static int keep_rest(struct outbound *o, const struct outbound_frame *f, size_t taken)
{
    size_t rest = f->header_len + f->payload_len - taken;
    size_t of_header = taken < f->header_len ? f->header_len - taken : 0;
    size_t of_payload = rest - of_header;
    uint8_t *at = outbound_heap(o, rest, taken > 0 ? rest : 0, true);
    if (!at)
        return ERR_MEMORY;
    memcpy(at, f->header + f->header_len - of_header, of_header);
    memcpy(at + of_header, f->payload + f->payload_len - of_payload, of_payload);
    o->tail->skip_other = taken > 0 ? (uint8_t)of_header : 0;
    bool deflated = f->message_len != f->payload_len;
    outbound_counts(
        o,
        deflated ? (size_t)((double)f->message_len * (double)of_payload / (double)f->payload_len)
                 : of_payload,
        deflated);
    return 0;
}

/* Offers the queue and f to the system. *taken: of f, which is not queued yet. */
static int offer(struct outbound *o, struct transport *t, const struct outbound_frame *f,
                 size_t *taken)
{
    size_t frame_len = f->header_len + f->payload_len;
    int status = 0;
    do {
        struct iovec iov[FLUSH_PIECES + 2];
        size_t queued;
        int n = gather(o, iov, &queued);
        if (queued < o->queued) { /* more than fits one call, or a file */
            status = flush(o, t);
            if (status < 0)
                break;
            continue;
        }
        if (*taken < f->header_len)
            iov[n++] =
                (struct iovec){(void *)(uintptr_t)(f->header + *taken), f->header_len - *taken};
        size_t done = *taken > f->header_len ? *taken - f->header_len : 0;
        iov[n++] = (struct iovec){(void *)(uintptr_t)(f->payload + done), f->payload_len - done};
        long written = transport_writev(t, iov, n);
        if (written < 0) {
            status = (int)written;
            break;
        }
        size_t of_queue = (size_t)written < queued ? (size_t)written : queued;
        advance(o, of_queue);
        *taken += (size_t)written - of_queue;
        if (*taken < frame_len && !t->tls)
            status = ERR_AGAIN;
    } while (status == 0 && *taken < frame_len);
    return status;
}

int outbound_flush_with(struct outbound *o, struct transport *t, const struct outbound_frame *f)
{
    size_t before = t->tls ? queued_payload(o) + f->message_len : 0;
    size_t taken = 0;
    int status = offer(o, t, f, &taken);
    if (taken == f->header_len + f->payload_len) {
        status = transport_flush(t);
    } else if (status == ERR_AGAIN) {
        int kept = keep_rest(o, f, taken);
        status = kept < 0 ? kept : ERR_AGAIN;
    }
    if (t->tls)
        note_held(o, t, before);
    return status;
}

/* Small output of earlier turns shares heap pieces, so that a slow reader does not cost a piece for
 * each message. */
static bool add_to_spare(struct piece *last, const struct piece *p, size_t from)
{
    size_t len = p->len - from;
    if (!last || !last->data || last->in_arena || last->spare < len || last->frames != p->frames)
        return false;
    memcpy((uint8_t *)(uintptr_t)last->data + last->len, p->data + from, len);
    last->len += len;
    last->spare -= len;
    last->payload += p->payload;
    last->deflated |= p->deflated;
    return true;
}

int outbound_settle(struct outbound *o)
{
    struct piece *last = NULL; /* the settled piece before p */
    trim(o);
    for (struct piece *p = o->head; p; p = p->next) {
        if (!p->in_arena) {
            last = p;
            continue;
        }
        size_t from = p->sent; /* of HTTP's */
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
        q->skip = p->skip;
        q->skip_other = p->skip_other;
        q->payload = p->payload;
        q->deflated = p->deflated;
        q->next = p->next;
        if (last)
            last->next = q;
        else
            o->head = q;
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
    trim(o);
    struct piece *p = o->head;
    while (p && !p->frames) {
        last = p;
        p = p->next;
    }
    if (!p)
        return 0;
    size_t keep = p->skip;
    size_t dropped = 0;
    if (keep > 0) {
        size_t kept = payload_before(p, keep);
        o->lost += p->payload - kept;
        p->payload = kept;
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
        o->lost += p->payload;
        release(p);
        p = next;
    }
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
