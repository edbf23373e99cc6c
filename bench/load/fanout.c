/* Every connection subscribes to one topic; what one publishes, all receive, itself included.
 * One publisher: it sends `burst` messages in one write and goes on when all were delivered to all.
 * Several: each has one message under way, and sends the next when all have got it. */
#include "conn.h"
#include "cycle.h"
#include "fail.h"
#include "modes.h"
#include "process.h"
#include "window.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { READ_ROOM = 1 << 18, EVENTS = 1024, TAGS = 26 };

struct lane {
    uint64_t sent_ns;
    uint32_t published; /* messages since the start */
    uint64_t wanted;    /* deliveries of the present burst, to all subscribers together */
    uint64_t delivered;
    size_t unsent;
    size_t out_at;
};

struct subscriber {
    struct conn conn;
    unsigned index;
    size_t at;        /* bytes of the frame under way */
    unsigned message; /* which of the cycle it is, known from its first payload byte */
    uint32_t *got;    /* messages per lane */
};

struct fanout {
    const struct options *o;
    int epoll;
    struct cycle send;
    struct cycle expect;
    size_t frame;
    size_t head;
    struct subscriber *subscribers;
    struct lane *lanes;
    struct window window;
    uint8_t *room;
};

static void flush(struct fanout *f, unsigned index)
{
    struct lane *l = &f->lanes[index];
    struct subscriber *s = &f->subscribers[index];
    while (l->unsent > 0) {
        ssize_t n = conn_write(&s->conn, f->send.bytes + l->out_at, l->unsent);
        if (n < 0) {
            fail("the server closed a publisher");
        }
        if (n == 0) {
            break;
        }
        l->unsent -= (size_t)n;
        l->out_at += (size_t)n;
    }
    conn_want_send(f->epoll, &s->conn, s, l->unsent > 0);
}

/* The n-th message of a publisher. */
static uint32_t number_of(unsigned index, uint32_t n)
{
    return n * TAGS + index;
}

static void publish(struct fanout *f, unsigned index)
{
    struct lane *l = &f->lanes[index];
    /* A lone publisher walks the cycle, so that order shows; of many, each has its own letter. */
    unsigned message = f->o->publishers == 1 ? l->published % TAGS : index;
    for (unsigned i = 0; i < f->o->burst; i++) {
        cycle_number(&f->send, message + i, number_of(index, l->published + i));
    }
    l->out_at = f->send.offset[message];
    l->unsent = f->send.offset[message + f->o->burst] - l->out_at;
    l->published += f->o->burst;
    l->delivered = 0;
    l->wanted = (uint64_t)f->o->connections * f->o->burst;
    window_expect(&f->window, l->wanted);
    l->sent_ns = now_ns();
    flush(f, index);
}

/* Whose message it is. */
static unsigned lane_of(const struct fanout *f, const struct subscriber *s)
{
    return f->o->publishers == 1 ? 0 : s->message;
}

static void delivered(struct fanout *f, struct subscriber *s)
{
    unsigned index = lane_of(f, s);
    struct lane *l = &f->lanes[index];
    uint32_t nth = s->got[index]++;
    if (nth >= l->published) {
        fail("a message was delivered twice");
    }
    if (f->o->publishers == 1 && nth % TAGS != s->message) {
        fail("messages were delivered out of order");
    }
    uint64_t now = now_ns();
    window_count(&f->window, now, now - l->sent_ns);
    if (++l->delivered == l->wanted && !f->window.over) {
        publish(f, index);
    }
}

static void check_part(struct fanout *f, struct subscriber *s, const uint8_t *data, size_t len)
{
    if (s->at <= f->head && s->at + len > f->head) {
        s->message = (unsigned)(data[f->head - s->at] - 'A');
        if (s->message >= TAGS || (f->o->publishers > 1 && s->message >= f->o->publishers)) {
            fail("a delivery that nobody published");
        }
    }
    unsigned index = lane_of(f, s);
    const uint8_t *frame = f->expect.bytes + f->expect.offset[s->message];
    cycle_number(&f->expect, s->message, number_of(index, s->got[index]));
    if (memcmp(frame + s->at, data, len) != 0) {
        fail("a delivery differs from what was published");
    }
}

static void consume(struct fanout *f, struct subscriber *s, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t part = f->frame - s->at < len ? f->frame - s->at : len;
        check_part(f, s, data, part);
        data += part;
        len -= part;
        s->at += part;
        if (s->at == f->frame) {
            s->at = 0;
            delivered(f, s);
        }
    }
}

static void on_readable(struct fanout *f, struct subscriber *s)
{
    do {
        ssize_t n = conn_read(&s->conn, f->room, READ_ROOM);
        if (n < 0) {
            fail("the server closed a subscriber");
        }
        if (n == 0) {
            break;
        }
        consume(f, s, f->room, (size_t)n);
    } while (conn_has_more(&s->conn));
}

static void prepare(struct fanout *f, SSL_CTX *tls)
{
    const struct options *o = f->o;
    struct framing framing = {.opcode = o->binary ? 2 : 1, .masked = !o->raw};
    cycle_init(&f->send, TAGS, o->burst, framing, o->size);
    /* The raw server broadcasts what it reads: it is given a server's frame at once. */
    framing.masked = false;
    cycle_init(&f->expect, TAGS, 1, framing, o->size);
    f->head = frame_head_size(o->size, false);
    f->frame = f->head + o->size;
    f->subscribers = calloc(o->connections, sizeof *f->subscribers);
    f->lanes = calloc(o->publishers, sizeof *f->lanes);
    f->room = malloc(READ_ROOM);
    if (!f->subscribers || !f->lanes || !f->room) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < o->connections; i++) {
        struct subscriber *s = &f->subscribers[i];
        s->index = i;
        s->got = calloc(o->publishers, sizeof *s->got);
        if (!s->got) {
            fail("out of memory");
        }
        conn_open(&s->conn, i, o, tls, false);
        conn_watch(f->epoll, &s->conn, s);
    }
}

int fanout_run(const struct options *o)
{
    struct fanout f = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event events[EVENTS];
    if (f.epoll < 0 || o->publishers > TAGS || o->publishers > o->connections || o->size < 1 ||
        (o->publishers > 1 && o->burst > 1)) {
        fail("fanout takes 1 publisher with any burst, or up to 26 without one");
    }
    prepare(&f, conn_tls_new(o));
    window_init(&f.window, o);
    for (unsigned i = 0; i < o->publishers; i++) {
        publish(&f, i);
    }
    while (window_tick(&f.window)) {
        int n = epoll_wait(f.epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct subscriber *s = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                flush(&f, s->index);
            }
            if (events[i].events & ~(uint32_t)EPOLLOUT) {
                on_readable(&f, s);
            }
        }
    }
    window_print(&f.window, o, "");
    return 0;
}
