/* Closed loop: every connection keeps `inflight` messages unanswered. Modes echo and deflate. */
#include "chat.h"
#include "check.h"
#include "conn.h"
#include "cycle.h"
#include "fail.h"
#include "modes.h"
#include "process.h"
#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_ROOM = 1 << 18, EVENTS = 1024 };

struct talker {
    struct conn conn;
    size_t out_at; /* where in the cycle's round the next byte to send lies */
    size_t unsent;
    unsigned issued; /* messages, both since the start */
    unsigned done;
    uint64_t *sent_ns; /* a ring of `inflight` */
    struct check check;
    struct check_inflate *inflated; /* instead of check, when compressing */
};

struct echo {
    const struct options *o;
    int epoll;
    struct cycle send;
    struct cycle expect;
    struct chat chat;
    bool deflate;
    size_t frame; /* bytes of one that is sent, when they are not compressed */
    struct talker *talkers;
    struct window window;
    uint8_t *room;
};

/* The n-th message that this connection sends. All connections send from the same bytes, so each
 * writes its numbers before it sends, and again what it has sent in part. */
static uint32_t number_of(const struct echo *e, const struct talker *t, unsigned n)
{
    return n * e->o->connections + (uint32_t)(t - e->talkers);
}

static void number_unsent(struct echo *e, struct talker *t)
{
    unsigned frames = (unsigned)((t->unsent + e->frame - 1) / e->frame);
    unsigned first = t->issued - frames;
    for (unsigned i = 0; i < frames; i++) {
        cycle_number(&e->send, first % e->send.count + i, number_of(e, t, first + i));
    }
}

static void flush(struct echo *e, struct talker *t)
{
    size_t laid_out = cycle_laid_out(&e->send);
    size_t round = cycle_round(&e->send);
    while (t->unsent > 0) {
        size_t ahead = laid_out - t->out_at;
        if (!e->deflate) {
            number_unsent(e, t);
        }
        ssize_t n =
            conn_write(&t->conn, e->send.bytes + t->out_at, t->unsent < ahead ? t->unsent : ahead);
        if (n < 0) {
            fail("the server closed a connection");
        }
        if (n == 0) {
            break;
        }
        t->unsent -= (size_t)n;
        t->out_at = (t->out_at + (size_t)n) % round;
    }
    conn_want_send(e->epoll, &t->conn, t, t->unsent > 0);
}

static void issue(struct echo *e, struct talker *t, unsigned n, uint64_t now)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned message = t->issued % e->send.count;
        t->sent_ns[t->issued++ % e->o->inflight] = now;
        t->unsent += e->send.offset[message + 1] - e->send.offset[message];
    }
    window_expect(&e->window, n);
    flush(e, t);
}

static unsigned check(struct echo *e, struct talker *t, const uint8_t *data, size_t len)
{
    return t->inflated ? check_inflated(t->inflated, data, len)
                       : check_exact(&t->check, &e->expect, data, len);
}

static void on_readable(struct echo *e, struct talker *t)
{
    unsigned done = 0;
    do {
        ssize_t n = conn_read(&t->conn, e->room, READ_ROOM);
        if (n < 0) {
            fail("the server closed a connection");
        }
        if (n == 0) {
            break;
        }
        done += check(e, t, e->room, (size_t)n);
    } while (conn_has_more(&t->conn));
    if (done == 0) {
        return;
    }
    if (done > t->issued - t->done) {
        fail("more replies than messages");
    }
    uint64_t now = now_ns();
    for (unsigned i = 0; i < done; i++) {
        window_count(&e->window, now, now - t->sent_ns[t->done++ % e->o->inflight]);
    }
    unsigned most = e->o->messages ? e->o->messages - t->issued : done;
    if (!e->window.over && most > 0) {
        issue(e, t, done < most ? done : most, now);
    }
}

static void prepare_messages(struct echo *e)
{
    const struct options *o = e->o;
    struct framing f = {.opcode = o->binary ? 2 : 1, .masked = true};
    if (e->deflate) {
        chat_init(&e->chat, 16, o->size);
        f.compressed = true;
        cycle_init_from(&e->send, 16, o->inflight, f, e->chat.packed, e->chat.packed_sizes);
        return;
    }
    unsigned count = cycle_count(o->size);
    cycle_init(&e->send, count, o->inflight, f, o->size);
    e->frame = e->send.offset[1];
    f.masked = o->raw; /* a raw server gives back the very bytes */
    cycle_init(&e->expect, count, 1, f, o->size);
}

static void open_talkers(struct echo *e, SSL_CTX *tls)
{
    const struct options *o = e->o;
    e->talkers = calloc(o->connections, sizeof *e->talkers);
    if (!e->talkers) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < o->connections; i++) {
        struct talker *t = &e->talkers[i];
        conn_open(&t->conn, o->idle + i, o, tls, e->deflate);
        conn_watch(e->epoll, &t->conn, t);
        t->check.number = number_of(e, t, 0);
        t->check.step = o->connections;
        t->sent_ns = calloc(o->inflight, sizeof *t->sent_ns);
        if (!t->sent_ns) {
            fail("out of memory");
        }
        if (e->deflate) {
            t->inflated = check_inflate_new(e->chat.plain, e->chat.plain_sizes, e->chat.count);
        }
    }
}

static void run_loop(struct echo *e)
{
    struct epoll_event events[EVENTS];
    window_init(&e->window, e->o);
    for (unsigned i = 0; i < e->o->connections; i++) {
        issue(e, &e->talkers[i], e->o->inflight, now_ns());
    }
    while (window_tick(&e->window)) {
        if (e->o->messages && e->window.outstanding == 0) {
            window_end(&e->window);
            continue;
        }
        int n = epoll_wait(e->epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct talker *t = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                flush(e, t);
            }
            if (events[i].events & ~(uint32_t)EPOLLOUT) {
                on_readable(e, t);
            }
        }
    }
}

/* How far the server packed the replies, against the size of the text. */
static double packed_share(const struct echo *e)
{
    uint64_t bytes = 0;
    uint64_t messages = 0;
    for (unsigned i = 0; i < e->o->connections; i++) {
        bytes += check_inflate_bytes(e->talkers[i].inflated);
        messages += e->talkers[i].done;
    }
    return (double)bytes / (double)(messages * e->o->size);
}

int echo_run(const struct options *o)
{
    struct echo e = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    char extra[128] = "";
    e.deflate = strcmp(o->mode, "deflate") == 0;
    e.room = malloc(READ_ROOM);
    if (e.epoll < 0 || !e.room) {
        fail("out of memory");
    }
    if (e.deflate && (o->raw || o->binary)) {
        fail("deflate sends text to a WebSocket server");
    }
    SSL_CTX *tls = conn_tls_new(o);
    prepare_messages(&e);
    struct conn *idle = conn_open_all(0, o->idle, o, tls);
    open_talkers(&e, tls);
    run_loop(&e);
    if (e.deflate) {
        snprintf(extra, sizeof extra, ",\"packed_share\":%.3f", packed_share(&e));
    }
    window_print(&e.window, o, extra);
    free(idle);
    return 0;
}
