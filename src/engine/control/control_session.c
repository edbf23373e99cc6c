/* A session: its socket, its deadline, its answer. */
#include "engine/control/control_session.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

void control_accept_again(struct control *c)
{
    if (c->paused && c->socket.fd >= 0)
        ev_io_start(c->server->loop, &c->accept);
    c->paused = false;
}

void control_session_end(struct control_session *session)
{
    struct control *c = session->control;
    ev_io_stop(c->server->loop, &session->io);
    close(session->io.fd);
    buffer_deinit(&session->answer);
    session->state = SESSION_FREE;
    c->session_count--;
    control_accept_again(c);
}

void control_look_again(struct control *c)
{
    if (!ev_is_active(&c->look)) {
        ev_now_update(c->server->loop);
        ev_timer_again(c->server->loop, &c->look);
    }
}

void control_session_wait(struct control_session *session, int events)
{
    struct ev_loop *loop = session->control->server->loop;
    ev_io_stop(loop, &session->io);
    ev_io_set(&session->io, session->io.fd, events);
    if (events)
        ev_io_start(loop, &session->io);
}

void control_session_deadline(struct control_session *session, uint32_t seconds)
{
    session->deadline_ms = clock_monotonic_ms() + seconds * 1000ull;
}

void control_session_write(struct control_session *session)
{
    while (session->written < session->answer.len) {
        ssize_t n = send(session->io.fd, session->answer.data + session->written,
                         session->answer.len - session->written, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        session->written += (size_t)n;
    }
    control_session_end(session);
}

void control_session_answer(struct control_session *session, int err)
{
    if (!err)
        err = buffer_append(&session->answer, "\n", 1);
    if (err) {
        log_write(&session->control->server->log, LOG_ERROR,
                  "out of memory for an answer of the control socket");
        control_session_end(session);
        return;
    }
    session->state = SESSION_ANSWERING;
    control_accept_again(session->control); /* from now on it can lose its place */
    control_session_deadline(session, CONTROL_ANSWER_SECONDS);
    control_session_wait(session, EV_WRITE);
    control_session_write(session);
}

void control_session_refuse(struct control_session *session, const char *text)
{
    control_session_answer(session, control_status_refusal(&session->answer, text));
}
