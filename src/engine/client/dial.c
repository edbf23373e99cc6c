#include "engine/client/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* RFC 8305 §5, "Connection Attempt Delay". */
static const double attempt_delay_seconds = 0.25;

/* RFC 8305 §4: the family of the first address first, then in turn. */
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
        return tcp_connect((const struct sockaddr *)&v4, sizeof v4);
    }
    memcpy(&v6.sin6_addr, a->bytes, 16);
    return tcp_connect((const struct sockaddr *)&v6, sizeof v6);
}

static void end_attempt(struct dial *d, struct dial_attempt *a)
{
    if (a->fd < 0)
        return;
    ev_io_stop(d->loop, &a->io);
    close(a->fd);
    a->fd = -1;
    d->open--;
}

void dial_stop(struct dial *d)
{
    if (!d->loop)
        return;
    ev_timer_stop(d->loop, &d->next);
    for (uint32_t i = 0; i < d->begun; i++)
        end_attempt(d, &d->attempts[i]);
}

static void succeed(struct dial *d, struct dial_attempt *a)
{
    const struct address *peer = &d->addresses[a - d->attempts];
    int fd = a->fd;
    ev_io_stop(d->loop, &a->io);
    a->fd = -1;
    d->open--;
    dial_stop(d);
    d->done(d, fd, peer);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents);

/* Begins attempts until one is under way or none is left. */
static void go_on(struct dial *d)
{
    while (d->begun < d->count) {
        struct dial_attempt *a = &d->attempts[d->begun];
        int fd = connect_to(&d->addresses[d->begun]);
        d->begun++;
        a->fd = fd < 0 ? -1 : fd;
        if (fd < 0) {
            d->error = errno;
            continue;
        }
        d->open++;
        ev_io_init(&a->io, on_writable, fd, EV_WRITE);
        a->io.data = d;
        ev_io_start(d->loop, &a->io);
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

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct dial *d = io->data;
    struct dial_attempt *a = (struct dial_attempt *)(void *)io; /* its first field */
    int status = tcp_connected(a->fd);
    if (status == ERR_AGAIN)
        return;
    if (status == 0) {
        succeed(d, a);
        return;
    }
    d->error = errno;
    end_attempt(d, a);
    if (d->begun < d->count || d->open == 0)
        go_on(d);
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
