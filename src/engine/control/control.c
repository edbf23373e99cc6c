/* The control socket: who is heard, and what is asked. control_session.c is a conversation,
 * control_reload.c asks for reloads, control_rounds.c asks the workers, and control_status.c writes
 * the answers. */
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
#include "engine/control/control_reload.h"
#include "engine/control/control_rounds.h"
#include "engine/control/control_session.h"
#include "engine/control/control_status.h"
#include "engine/reload/reload.h"
#include "transport/tcp_listen.h"

enum { ACCEPT_AT_ONCE = 16 };
static const ev_tstamp look_seconds =
    0.25; /* between looks at deadlines, while there are sessions */

/* ---- status ---------------------------------------------------------------------------------- */

/* A round that runs may have been answered by what was true before this request, so the request
 * waits for the next round. */
static void ask_workers(struct control_session *session)
{
    struct control *c = session->control;
    session->state = SESSION_GATHERING;
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
        if (session->state != SESSION_GATHERING)
            continue;
        if (session->ticket == round)
            control_session_answer(
                session, control_status_whole(&session->answer, &c->identity, &c->last_reload, r));
        else
            more = true;
    }
    if (more)
        control_rounds_begin(r);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_about(struct control_session *session)
{
    struct control *c = session->control;
    control_session_answer(session, control_status_about(&session->answer, &c->identity,
                                                         atomic_load(&c->server->draining)));
}

static const struct command {
    const char *name;
    void (*run)(struct control_session *session);
} commands[] = {
    {"about", answer_about},        {"status", ask_workers},
    {"reload", control_reload},     {"reload wait", control_reload_and_wait},
    {"rollback", control_rollback},
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
    control_session_refuse(
        session, "no such request; write about, status, reload, reload wait or rollback, and a "
                 "newline");
}

static void read_request(struct control_session *session)
{
    ssize_t n = recv(session->io.fd, session->request + session->request_len,
                     sizeof(session->request) - session->request_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && session->request_len == 0)) {
        control_session_end(session);
        return;
    }
    session->request_len += (size_t)n;
    const char *end = memchr(session->request, '\n', session->request_len);
    if (end)
        run_command(session, (size_t)(end - session->request));
    else if (n == 0) /* the end of the stream ends the line too */
        run_command(session, session->request_len);
    else if (session->request_len == sizeof(session->request))
        control_session_refuse(session, "a request is one short line");
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
        control_session_wait(session, 0);
    else
        control_session_end(session);
}

static void on_session(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct control_session *session = io->data;
    if (session->state == SESSION_READING)
        read_request(session);
    else if (session->state == SESSION_ANSWERING)
        control_session_write(session);
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
        if (session->state == SESSION_FREE)
            return session;
        bool slow = session->state == SESSION_READING || session->state == SESSION_ANSWERING;
        if (slow && (!oldest || session->since_ms < oldest->since_ms))
            oldest = session;
    }
    return oldest;
}

static void adopt(struct control *c, struct control_session *session, int fd)
{
    if (session->state != SESSION_FREE)
        control_session_end(session);
    *session = (struct control_session){
        .control = c, .state = SESSION_READING, .since_ms = clock_monotonic_ms()};
    ev_io_init(&session->io, on_session, fd, EV_READ);
    session->io.data = session;
    c->session_count++;
    control_session_deadline(session, CONTROL_REQUEST_SECONDS);
    ev_io_start(c->server->loop, &session->io);
    control_look_again(c);
    if (!may_ask(fd))
        control_session_refuse(session, "only the server's own user may ask");
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
            control_look_again(c);
            return;
        }
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void look_at(struct control_session *session, uint64_t now_ms)
{
    if (session->state == SESSION_FREE)
        return;
    struct server *s = session->control->server;
    bool reloads = session->state == SESSION_RELOADING || session->state == SESSION_WATCHING;
    if (reloads && atomic_load(&s->draining))
        control_session_refuse(session, "the server is ending");
    else if (session->state == SESSION_WATCHING && !reload_on_probation(s->reload))
        control_reload_kept(session);
    else if (now_ms < session->deadline_ms)
        return;
    else if (session->state == SESSION_RELOADING)
        control_session_refuse(session,
                               "it has not ended yet: a hook does not return; see the log");
    else
        control_session_end(session);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct control *c = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++)
        look_at(&c->sessions[i], now_ms);
    control_accept_again(c);
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
    c->observer.ended = control_reload_ended;
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
        if (c->sessions[i].state != SESSION_FREE)
            control_session_end(&c->sessions[i]);
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
