/* Connect, (TLS), upgrade, close frame, its answer, end: again and again on `connections` slots.
 * The server ends first, as RFC 6455 §7.1.1 wants, so that no port here stays in TIME_WAIT. */
#include "conn.h"
#include "cycle.h"
#include "fail.h"
#include "modes.h"
#include "process.h"
#include "window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

enum phase { CONNECTING, SECURING, UPGRADING, CLOSING };

struct slot {
    struct conn conn;
    enum phase phase;
    uint64_t begin_ns;
    size_t len;
    char head[4096];
};

struct handshakes {
    const struct options *o;
    int epoll;
    SSL_CTX *tls;
    struct window window;
    char request[1024];
    size_t request_size;
    uint8_t close_frame[16];
    size_t close_size;
    unsigned opened;
};

static void start(struct handshakes *h, struct slot *s)
{
    memset(&s->conn, 0, sizeof s->conn);
    s->phase = CONNECTING;
    s->len = 0;
    s->begin_ns = now_ns();
    window_expect(&h->window, 1);
    s->conn.fd = conn_socket(h->opened++ % 200 * 20000, SOCK_NONBLOCK);
    if (!conn_try(s->conn.fd, h->o->port) && errno != EINPROGRESS) {
        fail("connect: %s", strerror(errno));
    }
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = s};
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, s->conn.fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static void restart(struct handshakes *h, struct slot *s)
{
    struct linger reset = {.l_onoff = 1};
    SSL_free(s->conn.ssl);
    if (!h->o->close_by_tcp) {
        setsockopt(s->conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(s->conn.fd);
    if (!h->window.over) {
        start(h, s);
    }
}

static void listen_for(struct handshakes *h, struct slot *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    if (epoll_ctl(h->epoll, EPOLL_CTL_MOD, s->conn.fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static void send_all(struct slot *s, const void *data, size_t size)
{
    if (conn_write(&s->conn, data, size) != (ssize_t)size) {
        fail("a small write was not taken whole");
    }
}

static void send_request(struct handshakes *h, struct slot *s)
{
    s->phase = UPGRADING;
    send_all(s, h->request, h->request_size);
    listen_for(h, s, EPOLLIN);
}

static void on_connected(struct handshakes *h, struct slot *s)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->conn.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fail("connect: %s", strerror(error));
    }
    if (!h->tls) {
        send_request(h, s);
        return;
    }
    s->conn.ssl = SSL_new(h->tls);
    if (!s->conn.ssl || SSL_set_fd(s->conn.ssl, s->conn.fd) != 1) {
        fail("out of memory");
    }
    SSL_set_connect_state(s->conn.ssl);
    s->phase = SECURING;
}

static void secure(struct handshakes *h, struct slot *s)
{
    int n = SSL_do_handshake(s->conn.ssl);
    if (n == 1) {
        send_request(h, s);
        return;
    }
    int why = SSL_get_error(s->conn.ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        fail("TLS handshake failed");
    }
    listen_for(h, s, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
}

static void upgraded(struct handshakes *h, struct slot *s)
{
    uint64_t now = now_ns();
    window_count(&h->window, now, now - s->begin_ns);
    if (h->o->close_by_tcp) {
        restart(h, s);
        return;
    }
    s->phase = CLOSING;
    s->len = 0;
    send_all(s, h->close_frame, h->close_size);
}

static size_t reply_size(struct handshakes *h, struct slot *s)
{
    if (!h->o->raw) {
        return conn_check_reply(s->head, s->len, false);
    }
    return s->len >= h->request_size ? h->request_size : 0;
}

static void upgrading(struct handshakes *h, struct slot *s)
{
    ssize_t n = conn_read(&s->conn, s->head + s->len, sizeof s->head - 1 - s->len);
    if (n < 0) {
        fail("the server closed instead of upgrading");
    }
    s->len += (size_t)n;
    s->head[s->len] = '\0';
    size_t size = reply_size(h, s);
    if (size > 0 && size != s->len) {
        fail("bytes after the upgrade that nobody asked for");
    }
    if (size > 0) {
        upgraded(h, s);
    }
}

static void closing(struct handshakes *h, struct slot *s)
{
    ssize_t n = conn_read(&s->conn, s->head + s->len, sizeof s->head - s->len);
    if (n > 0) {
        s->len += (size_t)n;
        return;
    }
    if (n == 0) {
        return;
    }
    if (s->len < 4 || memcmp(s->head, "\x88\x02\x03\xe8", 4) != 0) {
        fail("the close frame was not answered with 1000");
    }
    restart(h, s);
}

static void on_event(struct handshakes *h, struct slot *s)
{
    switch (s->phase) {
    case CONNECTING:
        on_connected(h, s);
        if (s->phase == SECURING) {
            secure(h, s);
        }
        break;
    case SECURING:
        secure(h, s);
        break;
    case UPGRADING:
        upgrading(h, s);
        break;
    case CLOSING:
        closing(h, s);
        break;
    }
}

int handshake_run(const struct options *o)
{
    struct handshakes h = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC), .tls = conn_tls_new(o)};
    struct epoll_event events[EVENTS];
    struct framing close_framing = {.opcode = 8, .masked = true};
    struct slot *slots = calloc(o->connections, sizeof *slots);
    if (h.epoll < 0 || !slots) {
        fail("out of memory");
    }
    if (o->raw && !o->close_by_tcp) {
        fail("a raw server knows no close frame: add --close-by-tcp");
    }
    h.request_size = conn_request(h.request, sizeof h.request, o, false);
    h.close_size = frame_write(h.close_frame, close_framing, (const uint8_t *)"\x03\xe8", 2);
    window_init(&h.window, o);
    for (unsigned i = 0; i < o->connections; i++) {
        start(&h, &slots[i]);
    }
    while (window_tick(&h.window)) {
        int n = epoll_wait(h.epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            on_event(&h, events[i].data.ptr);
        }
    }
    window_print(&h.window, o, "");
    free(slots);
    return 0;
}
