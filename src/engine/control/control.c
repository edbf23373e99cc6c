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
#include "base/escape.h"
#include "engine/control/control_place.h"
#include "engine/reload/reload.h"

enum { ACCEPT_AT_ONCE = 16 };
static const ev_tstamp look_seconds = 0.25; /* at the deadlines, while there are clients */

enum client_state { FREE, ASKING, RELOADING, GATHERING, ANSWERING };

struct client {
    struct control *control;
    enum client_state state;
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

/* What one worker knows. Under the lock. */
struct part {
    bool posted; /* a letter is in its mailbox: a worker that is stuck gets no second one */
    bool answered;
    struct buffer generations;
};

struct control {
    struct server *server;
    struct reload_observer observer;
    const char *version;
    char *app;
    char *file;
    time_t since;
    int fd;
    ev_io accept;
    ev_timer look;
    struct client clients[CONTROL_CLIENTS];
    uint32_t client_count;
    bool paused; /* no more is accepted until a client is done, or the next look */

    /* The reload that ended last; NULL: none has. */
    char *last_text;
    bool last_ok;
    time_t last_at;

    /* One round of asking the workers at a time. */
    bool gathering;
    ev_async wake; /* the last part has come */
    ev_timer late;
    pthread_mutex_t lock; /* for what follows */
    uint32_t round;
    uint32_t missing;
    struct part *parts; /* by worker */
};

/* ---- JSON ------------------------------------------------------------------------------------ */

/* "name":"text", or null. */
static int put_string(struct buffer *b, const char *name, const char *text)
{
    if (text == NULL)
        return buffer_printf(b, "\"%s\":null", name);
    int err = buffer_printf(b, "\"%s\":\"", name);
    if (!err)
        err = escape_json(b, text, strlen(text));
    return err ? err : buffer_append(b, "\"", 1);
}

static int put_about(const struct control *c, struct buffer *b)
{
    int err = buffer_printf(b, "{\"ok\":true,\"pid\":%ld,", (long)getpid());
    if (!err)
        err = put_string(b, "app", c->app);
    if (!err)
        err = buffer_append(b, ",", 1);
    if (!err)
        err = put_string(b, "file", c->file);
    if (!err)
        err = buffer_append(b, ",", 1);
    if (!err)
        err = put_string(b, "version", c->version);
    return err ? err : buffer_printf(b, ",\"since\":%lld", (long long)c->since);
}

static int put_listeners(const struct server *s, struct buffer *b)
{
    int err = buffer_printf(b, ",\"listeners\":[");
    for (size_t i = 0; i < s->listener_count && !err; i++) {
        const struct listener *l = s->listeners[i];
        if (i > 0 && s->listeners[i - 1]->group == l->group)
            continue; /* another socket of the same address */
        err = buffer_printf(b, i > 0 ? ",\"" : "\"");
        if (!err)
            err = escape_json(b, l->address, strlen(l->address));
        if (!err)
            err = buffer_append(b, "\"", 1);
    }
    return err ? err : buffer_append(b, "]", 1);
}

static int put_counters(const struct server *s, struct buffer *b)
{
    int err = buffer_printf(b, ",\"counters\":{");
    for (unsigned i = 0; counter_name(i) && !err; i++)
        err = buffer_printf(b, "%s\"%s\":%llu", i > 0 ? "," : "", counter_name(i),
                            (unsigned long long)server_counter(s, i));
    return err ? err : buffer_append(b, "}", 1);
}

static int put_last_reload(const struct control *c, struct buffer *b)
{
    if (c->last_text == NULL)
        return buffer_printf(b, ",\"last_reload\":null");
    int err = buffer_printf(b, ",\"last_reload\":{\"ok\":%s,\"at\":%lld,",
                            c->last_ok ? "true" : "false", (long long)c->last_at);
    if (!err)
        err = put_string(b, "text", c->last_text);
    return err ? err : buffer_append(b, "}", 1);
}

/* Under the lock. */
static int put_worker(const struct control *c, uint32_t i, struct buffer *b)
{
    const struct part *p = &c->parts[i];
    uint32_t connections =
        atomic_load_explicit(&c->server->workers[i].conn_count, memory_order_relaxed);
    int err = buffer_printf(b, "%s{\"index\":%u,\"connections\":%u,\"answered\":%s",
                            i > 0 ? "," : "", i + 1, connections, p->answered ? "true" : "false");
    if (!err && p->answered)
        err = buffer_printf(b, ",\"generations\":");
    if (!err && p->answered)
        err = escape_invalid(b, (const char *)p->generations.data, p->generations.len);
    return err ? err : buffer_append(b, "}", 1);
}

static int put_status(struct control *c, struct buffer *b)
{
    const struct server *s = c->server;
    int err = put_about(c, b);
    if (!err)
        err = buffer_printf(b, ",\"draining\":%s,\"generation\":%u",
                            atomic_load(&s->draining) ? "true" : "false", s->reload->generation);
    if (!err)
        err = put_listeners(s, b);
    if (!err)
        err = put_counters(s, b);
    if (!err)
        err = put_last_reload(c, b);
    if (!err)
        err = buffer_printf(b, ",\"workers\":[");
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < s->worker_count && !err; i++)
        err = put_worker(c, i, b);
    pthread_mutex_unlock(&c->lock);
    return err ? err : buffer_append(b, "]", 1);
}

static int put_end(struct buffer *b, bool ok, uint32_t generation, const char *text)
{
    int err = buffer_printf(b, "{\"ok\":%s,\"generation\":%u,", ok ? "true" : "false", generation);
    return err ? err : put_string(b, "text", text);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void accept_again(struct control *c)
{
    if (c->paused && c->fd >= 0)
        ev_io_start(c->server->loop, &c->accept);
    c->paused = false;
}

static void drop(struct client *k)
{
    struct control *c = k->control;
    ev_io_stop(c->server->loop, &k->io);
    close(k->io.fd);
    buffer_deinit(&k->answer);
    k->state = FREE;
    c->client_count--;
    accept_again(c);
}

static void look_again(struct control *c)
{
    if (!ev_is_active(&c->look)) {
        ev_now_update(c->server->loop);
        ev_timer_again(c->server->loop, &c->look);
    }
}

static void listen_for(struct client *k, int events)
{
    struct ev_loop *loop = k->control->server->loop;
    ev_io_stop(loop, &k->io);
    ev_io_set(&k->io, k->io.fd, events);
    if (events)
        ev_io_start(loop, &k->io);
}

static void set_deadline(struct client *k, uint32_t seconds)
{
    k->deadline_ms = clock_monotonic_ms() + seconds * 1000ull;
}

static void write_some(struct client *k)
{
    while (k->written < k->answer.len) {
        ssize_t n = send(k->io.fd, k->answer.data + k->written, k->answer.len - k->written,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        k->written += (size_t)n;
    }
    drop(k);
}

/* answer is whole but for its last brace; err: it could not be made. The client may be gone then. */
static void begin_answer(struct client *k, int err)
{
    if (!err)
        err = buffer_append(&k->answer, "}\n", 2);
    if (err) {
        log_write(&k->control->server->log, LOG_ERROR,
                  "out of memory for an answer of the control "
                  "socket");
        drop(k);
        return;
    }
    k->state = ANSWERING;
    accept_again(k->control); /* this one can make place */
    set_deadline(k, CONTROL_ANSWER_SECONDS);
    listen_for(k, EV_WRITE);
    write_some(k);
}

static void refuse(struct client *k, const char *text)
{
    int err = buffer_printf(&k->answer, "{\"ok\":false,");
    begin_answer(k, err ? err : put_string(&k->answer, "text", text));
}

/* ---- asking the workers ---------------------------------------------------------------------- */

/* In the thread of a worker. */
static void read_describe(struct worker *w, struct letter *l)
{
    (void)l;
    struct control *c = w->server->control;
    struct part *p = &c->parts[w->index];
    pthread_mutex_lock(&c->lock);
    uint32_t round = c->round;
    p->posted = false;
    pthread_mutex_unlock(&c->lock);

    struct buffer out = {0};
    int err = w->ops->describe(w->script, &out);

    pthread_mutex_lock(&c->lock);
    bool last = false;
    if (!err && round == c->round && !p->answered) { /* else it comes too late */
        p->answered = true;
        p->generations = out;
        out = (struct buffer){0};
        last = --c->missing == 0;
    }
    pthread_mutex_unlock(&c->lock);
    buffer_deinit(&out);
    if (last)
        ev_async_send(w->server->loop, &c->wake);
}

static void begin_round(struct control *c)
{
    struct server *s = c->server;
    c->gathering = true;
    pthread_mutex_lock(&c->lock);
    c->round++;
    c->missing = s->worker_count;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct part *p = &c->parts[i];
        p->answered = false;
        buffer_deinit(&p->generations);
        struct letter *l = p->posted ? NULL : letter_new(read_describe);
        p->posted = p->posted || l;
        if (l)
            mailbox_post(&s->workers[i].mailbox, l);
    }
    pthread_mutex_unlock(&c->lock);
    ev_now_update(s->loop);
    ev_timer_set(&c->late, CONTROL_STATUS_SECONDS, 0);
    ev_timer_start(s->loop, &c->late);
}

/* A round that has begun may have been answered by what was true before the request: that one waits
 * for the next. */
static void ask_workers(struct client *k)
{
    struct control *c = k->control;
    k->state = GATHERING;
    k->ticket = c->round + 1;
    k->deadline_ms = UINT64_MAX; /* the round has its own */
    if (!c->gathering)
        begin_round(c);
}

static void end_round(struct control *c)
{
    bool more = false;
    ev_timer_stop(c->server->loop, &c->late);
    c->gathering = false;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *k = &c->clients[i];
        if (k->state == GATHERING && k->ticket == c->round)
            begin_answer(k, put_status(c, &k->answer));
        else if (k->state == GATHERING)
            more = true;
    }
    if (more)
        begin_round(c);
}

static void gathered(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)loop;
    (void)revents;
    struct control *c = wake->data;
    pthread_mutex_lock(&c->lock);
    bool whole = c->missing == 0;
    pthread_mutex_unlock(&c->lock);
    if (c->gathering && whole)
        end_round(c);
}

static void waited(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    end_round(timer->data);
}

/* ---- reloads --------------------------------------------------------------------------------- */

static void ask_attempt(struct client *k, bool back,
                        uint32_t (*request)(struct reload *r, const char *cause), const char *cause)
{
    struct server *s = k->control->server;
    if (atomic_load(&s->draining)) {
        refuse(k, "the server is ending");
        return;
    }
    k->state = RELOADING;
    set_deadline(k, 4 * admission_limits(&s->admission).reload_seconds + CONTROL_RELOAD_SECONDS);
    k->back = back;
    k->ticket = request(s->reload, cause);
}

static void ask_reload(struct client *k)
{
    ask_attempt(k, false, reload_request, "moonwire reload");
}

static void ask_rollback(struct client *k)
{
    ask_attempt(k, true, reload_rollback, "moonwire rollback");
}

/* A rollback that has dropped a reload answers for it: that does not serve. */
static void reload_ended(struct reload_observer *o, const struct reload_end *end)
{
    struct control *c = (struct control *)((char *)o - offsetof(struct control, observer));
    free(c->last_text);
    c->last_text = strdup(end->text);
    c->last_ok = end->ok;
    c->last_at = clock_wall_s();
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *k = &c->clients[i];
        if (k->state == RELOADING && (int32_t)(end->ticket - k->ticket) >= 0)
            begin_answer(k, put_end(&k->answer, end->ok && end->back == k->back, end->generation,
                                    end->text));
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_about(struct client *k)
{
    begin_answer(k, put_about(k->control, &k->answer));
}

static const struct command {
    const char *name;
    void (*answer)(struct client *k);
} commands[] = {
    {"about", answer_about},
    {"status", ask_workers},
    {"reload", ask_reload},
    {"rollback", ask_rollback},
};

static void answer(struct client *k, size_t len)
{
    if (len > 0 && k->request[len - 1] == '\r')
        len--;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *r = &commands[i];
        if (strlen(r->name) == len && memcmp(r->name, k->request, len) == 0) {
            r->answer(k);
            return;
        }
    }
    refuse(k, "no such request; write about, status, reload or rollback, and a newline");
}

static void read_request(struct client *k)
{
    ssize_t n = recv(k->io.fd, k->request + k->request_len, sizeof(k->request) - k->request_len,
                     MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && k->request_len == 0)) {
        drop(k);
        return;
    }
    k->request_len += (size_t)n;
    const char *end = memchr(k->request, '\n', k->request_len);
    if (end)
        answer(k, (size_t)(end - k->request));
    else if (n == 0) /* it will not write more: that ends a line too */
        answer(k, k->request_len);
    else if (k->request_len == sizeof(k->request))
        refuse(k, "a request is one short line");
}

/* It has nothing more to say. One that only does not write any more still waits for its answer. */
static void look_whether_gone(struct client *k)
{
    char more[16];
    struct pollfd set = {.fd = k->io.fd};
    ssize_t n = recv(k->io.fd, more, sizeof(more), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 0 && poll(&set, 1, 0) == 0)
        listen_for(k, 0);
    else
        drop(k);
}

static void on_client(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct client *k = io->data;
    if (k->state == ASKING)
        read_request(k);
    else if (k->state == ANSWERING)
        write_some(k);
    else
        look_whether_gone(k);
}

/* ---- accepting ------------------------------------------------------------------------------- */

/* Nobody else can reach the socket, unless its file's mode or folder was changed. */
static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* A free place, or that of the oldest client which does not end its request or does not read its
 * answer. NULL: all of them wait for us. */
static struct client *place_for_client(struct control *c)
{
    struct client *oldest = NULL;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *k = &c->clients[i];
        if (k->state == FREE)
            return k;
        bool slow = k->state == ASKING || k->state == ANSWERING;
        if (slow && (oldest == NULL || k->since_ms < oldest->since_ms))
            oldest = k;
    }
    return oldest;
}

static void adopt(struct control *c, struct client *k, int fd)
{
    if (k->state != FREE)
        drop(k);
    *k = (struct client){.control = c, .state = ASKING, .since_ms = clock_monotonic_ms()};
    ev_io_init(&k->io, on_client, fd, EV_READ);
    k->io.data = k;
    c->client_count++;
    set_deadline(k, CONTROL_REQUEST_SECONDS);
    ev_io_start(c->server->loop, &k->io);
    look_again(c);
    if (!may_ask(fd))
        refuse(k, "only the server's own user may ask");
}

static void on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)revents;
    struct control *c = io->data;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct client *place = place_for_client(c);
        int fd = place ? accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            adopt(c, place, fd);
        } else if (place && errno == EAGAIN) {
            return;
        } else if (!place || (errno != EINTR && errno != ECONNABORTED)) {
            c->paused = true; /* also when out of descriptors */
            ev_io_stop(loop, io);
            look_again(c);
            return;
        }
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void look_at(struct client *k, uint64_t now_ms)
{
    if (k->state == FREE)
        return;
    if (k->state == RELOADING && atomic_load(&k->control->server->draining))
        refuse(k, "the server is ending");
    else if (now_ms < k->deadline_ms)
        return;
    else if (k->state == RELOADING)
        refuse(k, "it has not ended yet: a hook does not return; see the log");
    else
        drop(k);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct control *c = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        look_at(&c->clients[i], now_ms);
    accept_again(c);
    if (c->client_count == 0)
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
    const struct tcp_listen_options options = {.host = host, .private = true};
    int fds[TCP_LISTENERS_MAX];
    uint16_t port;
    int opened = tcp_listen(&options, fds, &port, why);
    if (opened < 0)
        return opened;
    c->fd = fds[0];
    return 0;
}

static void init(struct control *c, struct server *s, const struct control_options *o)
{
    *c = (struct control){.server = s, .version = o->version, .fd = -1, .since = clock_wall_s()};
    pthread_mutex_init(&c->lock, NULL);
    ev_async_init(&c->wake, gathered);
    ev_timer_init(&c->late, waited, 0, 0);
    ev_init(&c->look, on_look);
    c->look.repeat = look_seconds;
    c->wake.data = c->late.data = c->look.data = c;
    c->observer.ended = reload_ended;
}

int control_new(struct control **out, struct server *s, const struct control_options *o,
                char why[SERVER_WHY_BYTES])
{
    struct control *c = malloc(sizeof(*c));
    if (c == NULL) {
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(ERR_MEMORY));
        return ERR_MEMORY;
    }
    init(c, s, o);
    c->app = strdup(o->app);
    c->file = o->file ? realpath(o->file, NULL) : NULL;
    c->parts = calloc(s->worker_count, sizeof(*c->parts));
    int err = c->app && c->parts ? open_socket(c, o->path, why) : ERR_MEMORY;
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
    ev_async_start(s->loop, &c->wake);
    ev_io_init(&c->accept, on_accept, c->fd, EV_READ);
    c->accept.data = c;
    ev_io_start(s->loop, &c->accept);
}

void control_close(struct control *c)
{
    if (c->fd < 0)
        return;
    ev_io_stop(c->server->loop, &c->accept);
    tcp_listen_close(c->fd);
    c->fd = -1;
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    struct server *s = c->server;
    control_close(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (c->clients[i].state != FREE)
            drop(&c->clients[i]);
    }
    ev_async_stop(s->loop, &c->wake);
    ev_timer_stop(s->loop, &c->late);
    ev_timer_stop(s->loop, &c->look);
    for (uint32_t i = 0; c->parts && i < s->worker_count; i++)
        buffer_deinit(&c->parts[i].generations);
    free(c->parts);
    free(c->last_text);
    free(c->app);
    free(c->file);
    pthread_mutex_destroy(&c->lock);
    if (s->control == c)
        s->control = NULL;
    free(c);
}
