/* Attempts to connect to the addresses of a host, one after another and side by side. */
#include "engine/client/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* RFC 8305 §5, "Connection Attempt Delay". */
static const double attempt_delay_seconds = 0.25;

/* RFC 8305 §4: the family of the first address first, then alternating. */
static void interleave(struct dial *d, const struct resolver_answer *to)
{
    uint8_t first = to->addresses[0].family;
    uint32_t ours = 0;
    uint32_t others = 0;
    while (d->count < to->count) {
        while (ours < to->count && to->addresses[ours].family != first)
            ours++;
        while (others < to->count && to->addresses[others].family == first)
            others++;
        if (ours < to->count)
            d->addresses[d->count++] = to->addresses[ours++];
        if (others < to->count)
            d->addresses[d->count++] = to->addresses[others++];
    }
}

static int connect_to(const struct address *a)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    if (a->family == AF_INET) {
        memcpy(&v4.sin_addr, a->bytes, 4);
        return tcp_connect((const struct sockaddr *)&v4, sizeof(v4));
    }
    memcpy(&v6.sin6_addr, a->bytes, 16);
    return tcp_connect((const struct sockaddr *)&v6, sizeof(v6));
}

static void end_attempt(struct dial *d, struct dial_attempt *a)
{
    if (a->fd >= 0) {
        ev_io_stop(d->loop, &a->io);
        close(a->fd);
        a->fd = -1;
    }
    connect_place_leave(&a->place);
}

static void end_all_but(struct dial *d, const struct dial_attempt *winner)
{
    ev_timer_stop(d->loop, &d->next);
    for (uint32_t i = 0; i < d->begun; i++)
        if (&d->attempts[i] != winner)
            end_attempt(d, &d->attempts[i]);
    d->open = 0;
}

void dial_stop(struct dial *d)
{
    if (d->loop)
        end_all_but(d, NULL);
}

bool dial_waits(const struct dial *d)
{
    for (uint32_t i = 0; i < d->begun; i++)
        if (d->attempts[i].fd >= 0)
            return false;
    return d->open > 0;
}

static void succeed(struct dial *d, struct dial_attempt *a)
{
    const struct address *peer = &d->addresses[a - d->attempts];
    int fd = a->fd;
    ev_io_stop(d->loop, &a->io);
    a->fd = -1;
    end_all_but(d, a);
    d->done(d, fd, peer);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents);
static void on_place(struct connect_place *t);

static const struct address *address_of(const struct dial_attempt *a)
{
    return &a->dial->addresses[a - a->dial->attempts];
}

/* The place is held, if it takes one. */
static int connect_now(struct dial_attempt *a)
{
    struct dial *d = a->dial;
    int fd = connect_to(address_of(a));
    if (fd < 0) {
        d->error = errno;
        connect_place_leave(&a->place);
        return fd;
    }
    a->fd = fd;
    ev_io_init(&a->io, on_writable, fd, EV_WRITE);
    ev_io_start(d->loop, &a->io);
    return 0;
}

/* 0: it is under way, or waits for its place. */
static int begin(struct dial_attempt *a)
{
    struct dial *d = a->dial;
    if (!d->desk)
        return connect_now(a);
    a->place.called = on_place;
    int status = connect_place_take(&a->place, d->desk, address_of(a), d->waiting_max);
    if (status > 0)
        return connect_now(a);
    if (status < 0) {
        d->crowded = status == ERR_LIMIT;
        d->error = ENOMEM;
    }
    return status;
}

/* Begins attempts until one is under way or none is left. */
static void go_on(struct dial *d)
{
    while (d->begun < d->count) {
        struct dial_attempt *a = &d->attempts[d->begun++];
        a->dial = d;
        a->fd = -1;
        if (begin(a) < 0)
            continue;
        d->open++;
        if (d->begun < d->count)
            ev_timer_again(d->loop, &d->next);
        return;
    }
    ev_timer_stop(d->loop, &d->next);
    if (d->open == 0) {
        errno = d->error;
        d->done(d, -1, NULL);
    }
}

/* One attempt is over. */
static void failed(struct dial *d)
{
    d->open--;
    if (d->begun < d->count || d->open == 0)
        go_on(d);
}

static void on_place(struct connect_place *t)
{
    struct dial_attempt *a =
        (struct dial_attempt *)(void *)((char *)t - offsetof(struct dial_attempt, place));
    if (connect_now(a) < 0)
        failed(a->dial);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct dial_attempt *a = (struct dial_attempt *)(void *)io; /* its first field */
    struct dial *d = a->dial;
    int status = tcp_connected(a->fd);
    if (status == ERR_AGAIN)
        return;
    if (status == 0) {
        succeed(d, a);
        return;
    }
    d->error = errno;
    end_attempt(d, a);
    failed(d);
}

static void on_delay(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct dial *d = timer->data;
    ev_timer_stop(loop, timer);
    go_on(d);
}

void dial_start(struct dial *d, struct ev_loop *loop, const struct resolver_answer *to)
{
    d->loop = loop;
    ev_init(&d->next, on_delay);
    d->next.repeat = attempt_delay_seconds;
    d->next.data = d;
    interleave(d, to);
    go_on(d);
}
