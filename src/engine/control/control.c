/* The control socket: sessions, each of one request and one answer. control_status.c writes the
 * answers, control_rounds.c asks the workers. */
#include "engine/control/control.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/control/control_ask.h"
#include "engine/control/control_place.h"
#include "engine/control/control_rounds.h"
#include "engine/control/control_status.h"
#include "engine/reload/reload.h"
#include "transport/tcp_listen.h"

enum { ACCEPT_AT_ONCE = 16 };
static const ev_tstamp look_seconds =
    0.25; /* between looks at deadlines, while there are sessions */

enum session_state { FREE, READING, RELOADING, GATHERING, ANSWERING };

struct control_session {
    struct control *control;
    enum session_state state;
    ev_io io;
    uint64_t since_ms;
    uint64_t deadline_ms;
    bool back;       /* RELOADING: by a rollback */
    uint32_t ticket; /* RELOADING: of the request; GATHERING: the round that answers it */
    size_t request_len;
    char request[CONTROL_REQUEST_BYTES];
    struct buffer answer;
    size_t written;
};

struct control {
    struct server *server;
    struct reload_observer observer;
    struct control_rounds rounds;
    struct control_identity identity;
    struct control_last_reload last_reload;
    struct listening socket; /* its fd is -1: closed */
    ev_io accept;
    ev_timer look;
    struct control_session sessions[CONTROL_SESSIONS];
    uint32_t session_count;
    bool paused; /* nobody is accepted until a session ends, or the next look */
};

/* ---- sessions -------------------------------------------------------------------------------- */

static void accept_again(struct control *c)
{
    if (c->paused && c->socket.fd >= 0)
        ev_io_start(c->server->loop, &c->accept);
    c->paused = false;
}

static void end_session(struct control_session *session)
{
    struct control *c = session->control;
    ev_io_stop(c->server->loop, &session->io);
    close(session->io.fd);
    buffer_deinit(&session->answer);
    session->state = FREE;
    c->session_count--;
    accept_again(c);
}

static void look_again(struct control *c)
{
    if (!ev_is_active(&c->look)) {
        ev_now_update(c->server->loop);
        ev_timer_again(c->server->loop, &c->look);
    }
}

static void wait_for(struct control_session *session, int events)
{
    struct ev_loop *loop = session->control->server->loop;
    ev_io_stop(loop, &session->io);
    ev_io_set(&session->io, session->io.fd, events);
    if (events)
        ev_io_start(loop, &session->io);
}

static void set_deadline(struct control_session *session, uint32_t seconds)
{
    session->deadline_ms = clock_monotonic_ms() + seconds * 1000ull;
}

static void write_some(struct control_session *session)
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
    end_session(session);
}

/* Sends session->answer, or ends the session when err says that it could not be made. The session
 * may have ended in either case. */
static void begin_answer(struct control_session *session, int err)
{
    if (!err)
        err = buffer_append(&session->answer, "\n", 1);
    if (err) {
        log_write(&session->control->server->log, LOG_ERROR,
                  "out of memory for an answer of the control socket");
        end_session(session);
        return;
    }
    session->state = ANSWERING;
    accept_again(session->control); /* from now on it can lose its place */
    set_deadline(session, CONTROL_ANSWER_SECONDS);
    wait_for(session, EV_WRITE);
    write_some(session);
}

static void refuse(struct control_session *session, const char *text)
{
    begin_answer(session, control_status_refusal(&session->answer, text));
}

/* ---- status ---------------------------------------------------------------------------------- */

/* A round that runs may have been answered by what was true before this request, so the request
 * waits for the next round. */
static void ask_workers(struct control_session *session)
{
    struct control *c = session->control;
    session->state = GATHERING;
    session->ticket = c->rounds.round + 1;
    session->deadline_ms = UINT64_MAX; /* the round has one */
    if (!c->rounds.running)
        control_rounds_begin(&c->rounds);
}

static void round_ended(struct control_rounds *r, uint32_t round)
{
    struct control *c = (struct control *)(void *)((char *)r - offsetof(struct control, rounds));
    bool more = false;
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++) {
        struct control_session *session = &c->sessions[i];
        if (session->state != GATHERING)
            continue;
        if (session->ticket == round)
            begin_answer(session,
                         control_status_whole(&session->answer, &c->identity, &c->last_reload, r));
        else
            more = true;
    }
    if (more)
        control_rounds_begin(r);
}

/* ---- reloads --------------------------------------------------------------------------------- */

/* request: reload_request or reload_rollback. */
static void ask_attempt(struct control_session *session, bool back,
                        uint32_t (*request)(struct reload *r, const char *cause), const char *cause)
{
    struct server *s = session->control->server;
    if (atomic_load(&s->draining)) {
        refuse(session, "the server is ending");
        return;
    }
    session->state = RELOADING;
    set_deadline(session,
                 4 * admission_limits(&s->admission).reload_seconds + CONTROL_RELOAD_SECONDS);
    session->back = back;
    session->ticket = request(s->reload, cause);
}

static void ask_reload(struct control_session *session)
{
    ask_attempt(session, false, reload_request, "moonwire reload");
}

static void ask_rollback(struct control_session *session)
{
    ask_attempt(session, true, reload_rollback, "moonwire rollback");
}

/* Answers everybody who asked for the attempt that has ended. A rollback also ends the reload that
 * it dropped: who asked for that hears that it failed. */
static void reload_ended(struct reload_observer *o, const struct reload_end *end)
{
    struct control *c = (struct control *)(void *)((char *)o - offsetof(struct control, observer));
    free(c->last_reload.text);
    c->last_reload = (struct control_last_reload){strdup(end->text), end->ok, clock_wall_s()};
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++) {
        struct control_session *session = &c->sessions[i];
        if (session->state == RELOADING && (int32_t)(end->ticket - session->ticket) >= 0)
            begin_answer(session,
                         control_status_reload(&session->answer,
                                               end->ok && end->back == session->back, end));
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_about(struct control_session *session)
{
    struct control *c = session->control;
    begin_answer(session, control_status_about(&session->answer, &c->identity,
                                               atomic_load(&c->server->draining)));
}

static const struct command {
    const char *name;
    void (*run)(struct control_session *session);
} commands[] = {
    {"about", answer_about},
    {"status", ask_workers},
    {"reload", ask_reload},
    {"rollback", ask_rollback},
};

static void run_command(struct control_session *session, size_t len)
{
    if (len > 0 && session->request[len - 1] == '\r')
        len--;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *command = &commands[i];
        if (strlen(command->name) == len && memcmp(command->name, session->request, len) == 0) {
            command->run(session);
            return;
        }
    }
    refuse(session, "no such request; write about, status, reload or rollback, and a newline");
}

static void read_request(struct control_session *session)
{
    ssize_t n = recv(session->io.fd, session->request + session->request_len,
                     sizeof(session->request) - session->request_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && session->request_len == 0)) {
        end_session(session);
        return;
    }
    session->request_len += (size_t)n;
    const char *end = memchr(session->request, '\n', session->request_len);
    if (end)
        run_command(session, (size_t)(end - session->request));
    else if (n == 0) /* the end of the stream ends the line too */
        run_command(session, session->request_len);
    else if (session->request_len == sizeof(session->request))
        refuse(session, "a request is one short line");
}

/* While an answer is made, the socket becomes readable when the peer is gone. A peer that has only
 * shut down its own side still waits. */
static void check_peer(struct control_session *session)
{
    char more[16];
    struct pollfd set = {.fd = session->io.fd};
    ssize_t n = recv(session->io.fd, more, sizeof(more), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 0 && poll(&set, 1, 0) == 0)
        wait_for(session, 0);
    else
        end_session(session);
}

static void on_session(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct control_session *session = io->data;
    if (session->state == READING)
        read_request(session);
    else if (session->state == ANSWERING)
        write_some(session);
    else
        check_peer(session);
}

/* ---- accepting ------------------------------------------------------------------------------- */

/* Others cannot reach the socket at all, unless its file's mode or folder was changed. */
static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* A free place, or that of the oldest session whose peer does not end its request or does not read
 * its answer. NULL: all peers wait for us. */
static struct control_session *place_for_session(struct control *c)
{
    struct control_session *oldest = NULL;
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++) {
        struct control_session *session = &c->sessions[i];
        if (session->state == FREE)
            return session;
        bool slow = session->state == READING || session->state == ANSWERING;
        if (slow && (!oldest || session->since_ms < oldest->since_ms))
            oldest = session;
    }
    return oldest;
}

static void adopt(struct control *c, struct control_session *session, int fd)
{
    if (session->state != FREE)
        end_session(session);
    *session =
        (struct control_session){.control = c, .state = READING, .since_ms = clock_monotonic_ms()};
    ev_io_init(&session->io, on_session, fd, EV_READ);
    session->io.data = session;
    c->session_count++;
    set_deadline(session, CONTROL_REQUEST_SECONDS);
    ev_io_start(c->server->loop, &session->io);
    look_again(c);
    if (!may_ask(fd))
        refuse(session, "only the server's own user may ask");
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)revents;
    struct control *c = io->data;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct control_session *place = place_for_session(c);
        int fd = place ? accept4(c->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            adopt(c, place, fd);
        } else if (place && errno == EAGAIN) {
            return;
        } else if (!place || (errno != EINTR && errno != ECONNABORTED)) {
            c->paused = true; /* no place, or no descriptor */
            ev_io_stop(loop, io);
            look_again(c);
            return;
        }
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void look_at(struct control_session *session, uint64_t now_ms)
{
    if (session->state == FREE)
        return;
    if (session->state == RELOADING && atomic_load(&session->control->server->draining))
        refuse(session, "the server is ending");
    else if (now_ms < session->deadline_ms)
        return;
    else if (session->state == RELOADING)
        refuse(session, "it has not ended yet: a hook does not return; see the log");
    else
        end_session(session);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct control *c = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++)
        look_at(&c->sessions[i], now_ms);
    accept_again(c);
    if (c->session_count == 0)
        ev_timer_stop(loop, timer);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_socket(struct control *c, const char *path, char why[SERVER_WHY_BYTES])
{
    char place[CONTROL_PATH_BYTES];
    char host[sizeof("unix:") + 4096];
    char refused[CONTROL_PATH_WHY_BYTES];
    int err = path ? 0 : control_place(place, refused);
    if (err) {
        snprintf(why, SERVER_WHY_BYTES, "%s", refused);
        return err;
    }
    snprintf(host, sizeof(host), "unix:%s", path ? path : place);
    const struct tcp_listen_options options = {
        .host = host, .private = true, .leaves = control_is_leaving};
    struct listening sockets[TCP_LISTENERS_MAX];
    uint16_t port;
    int opened = tcp_listen(&options, sockets, &port, why);
    if (opened < 0)
        return opened;
    c->socket = sockets[0];
    return 0;
}

/* 0 or ERR_MEMORY. */
static int init(struct control *c, struct server *s, const struct control_options *o)
{
    *c = (struct control){.server = s, .socket.fd = -1};
    c->identity = (struct control_identity){
        .version = o->version,
        .app = strdup(o->app),
        .file = o->file ? realpath(o->file, NULL) : NULL,
        .since = clock_wall_s(),
    };
    ev_init(&c->look, on_look);
    c->look.repeat = look_seconds;
    c->look.data = c;
    c->observer.ended = reload_ended;
    int err = control_rounds_init(&c->rounds, s, round_ended);
    return c->identity.app ? err : ERR_MEMORY;
}

int control_new(struct control **out, struct server *s, const struct control_options *o,
                char why[SERVER_WHY_BYTES])
{
    struct control *c = malloc(sizeof(*c));
    int err = c ? init(c, s, o) : ERR_MEMORY;
    if (!err)
        err = open_socket(c, o->path, why);
    if (err == ERR_MEMORY)
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(err));
    if (err) {
        control_free(c);
        return err;
    }
    s->control = c;
    *out = c;
    return 0;
}

void control_start(struct control *c)
{
    struct server *s = c->server;
    reload_observe(s->reload, &c->observer);
    ev_io_init(&c->accept, on_accept, c->socket.fd, EV_READ);
    c->accept.data = c;
    ev_io_start(s->loop, &c->accept);
}

void control_close(struct control *c)
{
    if (c->socket.fd < 0)
        return;
    ev_io_stop(c->server->loop, &c->accept);
    tcp_listen_close(&c->socket);
    c->socket.fd = -1;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    struct server *s = c->server;
    control_close(c);
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++) {
        if (c->sessions[i].state != FREE)
            end_session(&c->sessions[i]);
    }
    ev_timer_stop(s->loop, &c->look);
    control_rounds_deinit(&c->rounds);
    free(c->last_reload.text);
    free(c->identity.app);
    free(c->identity.file);
    if (s->control == c)
        s->control = NULL;
    free(c);
}
