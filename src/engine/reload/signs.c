/* What inotify tells of files. */
#include "engine/reload/signs.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

void signs_read(struct signs *s)
{
    _Alignas(struct inotify_event) char events[8192];
    ssize_t n;
    while ((n = read(s->fd, events, sizeof(events))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(events + at);
            s->sign(s, e);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
}

static void readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    signs_read(io->data);
}

static void rested(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct signs *s = timer->data;
    s->settled(s);
}

bool signs_armed(const struct signs *s)
{
    return ev_is_active(&s->settle);
}

void signs_arm(struct signs *s, bool again)
{
    uint64_t now = clock_monotonic_us();
    if (!signs_armed(s))
        s->first_us = now;
    else if (!again || now - s->first_us > SIGNS_LONGEST_US)
        return;
    ev_timer_stop(s->loop, &s->settle);
    ev_now_update(s->loop);
    ev_timer_set(&s->settle, s->settle_seconds, 0);
    ev_timer_start(s->loop, &s->settle);
}

bool signs_begun(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    return n < 0 || n >= (int)sizeof(path) || lstat(path, &st) ||
           (S_ISREG(st.st_mode) && st.st_nlink == 1);
}

int signs_init(struct signs *s, struct ev_loop *loop, double settle_seconds,
               void (*sign)(struct signs *s, const struct inotify_event *e),
               void (*settled)(struct signs *s))
{
    *s = (struct signs){.settle_seconds = settle_seconds, .sign = sign, .settled = settled};
    s->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->fd < 0)
        return ERR_LIMIT;
    s->loop = loop;
    ev_io_init(&s->io, readable, s->fd, EV_READ);
    ev_timer_init(&s->settle, rested, settle_seconds, 0);
    s->io.data = s->settle.data = s;
    ev_io_start(loop, &s->io);
    return 0;
}

void signs_deinit(struct signs *s)
{
    if (!s->loop)
        return;
    ev_io_stop(s->loop, &s->io);
    ev_timer_stop(s->loop, &s->settle);
    close(s->fd);
    *s = (struct signs){0};
}
