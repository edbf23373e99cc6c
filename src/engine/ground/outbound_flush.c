/* Flushing: pieces are gathered into one system call, files go through sendfile, and a large frame
 * is offered without being queued. */
#include "engine/ground/outbound_flush.h"

#include <string.h>
#include <sys/uio.h>

#include "base/error.h"

enum { FLUSH_PIECES = 64 }; /* gathered in one system call */

/* Puts the queue's first pieces, up to a file, into iov. Returns their number, and the number of
 * their bytes in *total. */
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
        outbound_advance(o, (size_t)n);
        /* A plain socket that takes a part is full: asking again would only cost a system call. */
        if ((size_t)n < offered && !t->tls && o->head && o->head->data)
            return ERR_AGAIN;
    }
    return transport_flush(t);
}

/* TLS may hold what it took: `before` is the payload before a flush, and what is no longer queued
 * of it may not be sent. */
static void note_held(struct outbound *o, struct transport *t, size_t before)
{
    if (transport_wants_write(t))
        t->held += (uint32_t)(before - outbound_queued_payload(o));
    else
        t->held = 0;
}

int outbound_flush(struct outbound *o, struct transport *t)
{
    if (!t->tls)
        return flush(o, t);
    size_t before = outbound_queued_payload(o);
    int err = flush(o, t);
    note_held(o, t, before);
    return err;
}

/* Queues what a write left of f, of which `taken` bytes are gone. */
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
    size_t kept = of_payload;
    if (deflated)
        kept = (size_t)((double)f->message_len * (double)of_payload / (double)f->payload_len);
    outbound_note_payload(o, kept, deflated);
    return 0;
}

/* Appends what is left of f behind its first `taken` bytes to the n parts of iov. Returns their new
 * number. */
static int add_frame(struct iovec *iov, int n, const struct outbound_frame *f, size_t taken)
{
    if (taken < f->header_len)
        iov[n++] = (struct iovec){(void *)(uintptr_t)(f->header + taken), f->header_len - taken};
    size_t done = taken > f->header_len ? taken - f->header_len : 0;
    iov[n++] = (struct iovec){(void *)(uintptr_t)(f->payload + done), f->payload_len - done};
    return n;
}

/* Offers the queue and then f to the system. Returns with the bytes that it has of f in *taken. */
static int offer(struct outbound *o, struct transport *t, const struct outbound_frame *f,
                 size_t *taken)
{
    size_t frame_len = f->header_len + f->payload_len;
    while (*taken < frame_len) {
        struct iovec iov[FLUSH_PIECES + 2];
        size_t queued;
        int n = gather(o, iov, &queued);
        if (queued < o->queued) { /* more than fits one call, or a file */
            int err = flush(o, t);
            if (err < 0)
                return err;
            continue;
        }
        long written = transport_writev(t, iov, add_frame(iov, n, f, *taken));
        if (written < 0)
            return (int)written;
        size_t of_queue = (size_t)written < queued ? (size_t)written : queued;
        outbound_advance(o, of_queue);
        *taken += (size_t)written - of_queue;
        if (*taken < frame_len && !t->tls)
            return ERR_AGAIN;
    }
    return transport_flush(t);
}

int outbound_flush_with(struct outbound *o, struct transport *t, const struct outbound_frame *f)
{
    size_t before = t->tls ? outbound_queued_payload(o) + f->message_len : 0;
    size_t taken = 0;
    int err = offer(o, t, f, &taken);
    if (err == ERR_AGAIN && taken < f->header_len + f->payload_len && keep_rest(o, f, taken) < 0)
        err = ERR_MEMORY;
    if (t->tls)
        note_held(o, t, before);
    return err;
}

size_t outbound_payload(struct outbound *o, const struct transport *t)
{
    size_t unsent = t->held > 0 ? transport_unsent(t) : 0;
    return outbound_queued_payload(o) + o->lost + (t->held < unsent ? t->held : unsent);
}
