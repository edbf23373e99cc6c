/* Waits for the system's list of mounts to change. */
#include "engine/reload/mounts.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

/* The list can always be read; that it is another is told as priority data (proc(5)), which libev
 * does not ask for. So an epoll of its own does, and libev waits for that. Whoever asks whether it
 * is another is told once: that may be libev's own epoll, and ours then knows of nothing. */
static void on_change(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct mounts *m = io->data;
    struct epoll_event event;
    (void)epoll_wait(m->poll, &event, 1, 0);
    m->changed(m->owner);
}

void mounts_init(struct mounts *m, struct ev_loop *loop, void (*changed)(void *owner), void *owner)
{
    struct epoll_event event = {.events = EPOLLPRI};
    *m = (struct mounts){.changed = changed, .owner = owner};
    m->table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (m->table < 0)
        return;
    m->poll = epoll_create1(EPOLL_CLOEXEC);
    if (m->poll < 0 || epoll_ctl(m->poll, EPOLL_CTL_ADD, m->table, &event)) {
        if (m->poll >= 0)
            close(m->poll);
        close(m->table);
        return;
    }
    m->loop = loop;
    ev_io_init(&m->io, on_change, m->poll, EV_READ);
    m->io.data = m;
    ev_io_start(loop, &m->io);
}

void mounts_deinit(struct mounts *m)
{
    if (!m->loop)
        return;
    ev_io_stop(m->loop, &m->io);
    close(m->poll);
    close(m->table);
    *m = (struct mounts){0};
}
