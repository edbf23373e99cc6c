/* Waiting for a descriptor that the script reads. */
#include "engine/worker/input.h"

#include "base/error.h"
#include "engine/ground/batch.h"
#include "engine/worker/worker.h"

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)revents;
    struct worker *w = worker_of(loop);
    struct event *e = batch_add(&w->batch);
    if (!e)
        return; /* out of memory: it is still readable, so the next turn comes here again */
    ev_io_stop(loop, io);
    e->kind = EVENT_INPUT;
    e->conn = io->fd;
}

int input_wait(struct worker *w, int fd)
{
    if (ev_is_active(&w->input))
        return ERR_LIMIT;
    ev_io_init(&w->input, on_readable, fd, EV_READ);
    ev_io_start(w->loop, &w->input);
    return 0;
}

void input_stop(struct worker *w)
{
    ev_io_stop(w->loop, &w->input);
}
