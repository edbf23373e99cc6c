#include "conn.h"

#include "fail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* The key and answer of RFC 6455 §1.3. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

SSL_CTX *conn_tls_new(const struct options *o)
{
    if (!o->tls) {
        return NULL;
    }
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls) {
        fail("OpenSSL cannot start");
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

int conn_socket(unsigned index, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) {
        fail("socket: %s (at most 20,000 files is usual; see ulimit -n)", strerror(errno));
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Without this the port would be taken at bind, before the kernel knows the destination. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f000002u + index / 20000)};
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) {
        fail("bind: %s", strerror(errno));
    }
    return fd;
}

bool conn_try(int fd, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}

size_t conn_request(char *out, size_t room, const struct options *o, bool offer_deflate)
{
    int n = snprintf(out, room,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n",
                     o->path, o->port, KEY,
                     offer_deflate ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                     "client_no_context_takeover; server_no_context_takeover\r\n"
                                   : "");
    if (n < 0 || (size_t)n >= room) {
        fail("the path is too long");
    }
    return (size_t)n;
}

size_t conn_check_reply(const char *head, size_t len, bool offered_deflate)
{
    const char *end = memmem(head, len, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    size_t size = (size_t)(end + 4 - head);
    if (size < 12 || memcmp(head, "HTTP/1.1 101", 12) != 0) {
        fail("the server did not upgrade: %.*s", (int)strcspn(head, "\r"), head);
    }
    if (!memmem(head, size, ACCEPT, sizeof ACCEPT - 1)) {
        fail("wrong Sec-WebSocket-Accept");
    }
    bool deflate = memmem(head, size, "permessage-deflate", 18) != NULL;
    if (deflate != offered_deflate) {
        fail(deflate ? "permessage-deflate accepted, but not offered"
                     : "the server does not compress");
    }
    if (deflate && !memmem(head, size, "server_no_context_takeover", 26)) {
        fail("server_no_context_takeover was asked for and not granted (RFC 7692 §7.1.1.1)");
    }
    return size;
}

static void upgrade(struct conn *c, const struct options *o, bool offer_deflate)
{
    char text[4096];
    size_t size = conn_request(text, sizeof text, o, offer_deflate);
    if (conn_write(c, text, size) != (ssize_t)size) {
        fail("the request was not taken");
    }
    size_t len = 0;
    size_t head = 0;
    while (head == 0) {
        ssize_t n = conn_read(c, text + len, sizeof text - 1 - len);
        if (n <= 0) {
            fail("no answer to the upgrade (%s)", n == 0 ? "timeout" : "closed");
        }
        len += (size_t)n;
        text[len] = '\0';
        head = conn_check_reply(text, len, offer_deflate);
    }
    if (head != len) {
        fail("bytes after the upgrade that nobody asked for");
    }
}

void conn_open(struct conn *c, unsigned index, const struct options *o, SSL_CTX *tls,
               bool offer_deflate)
{
    struct timeval patience = {.tv_sec = 10};
    memset(c, 0, sizeof *c);
    c->fd = conn_socket(index, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!conn_try(c->fd, o->port)) {
        fail("connect to 127.0.0.1:%u: %s", o->port, strerror(errno));
    }
    if (tls) {
        c->ssl = SSL_new(tls);
        if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1) {
            fail("TLS handshake failed");
        }
    }
    if (!o->raw) {
        upgrade(c, o, offer_deflate);
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        fail("fcntl: %s", strerror(errno));
    }
}

struct conn *conn_open_all(unsigned first, unsigned n, const struct options *o, SSL_CTX *tls)
{
    struct conn *conns = calloc(n ? n : 1, sizeof *conns);
    if (!conns) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < n; i++) {
        conn_open(&conns[i], first + i, o, tls, false);
    }
    return conns;
}

static ssize_t tls_result(struct conn *c, int n)
{
    if (n > 0) {
        return n;
    }
    int why = SSL_get_error(c->ssl, n);
    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t tcp_result(ssize_t n)
{
    if (n > 0) {
        return n;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static int clamp(size_t n)
{
    return n > 1 << 30 ? 1 << 30 : (int)n;
}

ssize_t conn_read(struct conn *c, void *data, size_t room)
{
    return c->ssl ? tls_result(c, SSL_read(c->ssl, data, clamp(room)))
                  : tcp_result(recv(c->fd, data, room, 0));
}

ssize_t conn_write(struct conn *c, const void *data, size_t len)
{
    return c->ssl ? tls_result(c, SSL_write(c->ssl, data, clamp(len)))
                  : tcp_result(send(c->fd, data, len, MSG_NOSIGNAL));
}

bool conn_has_more(const struct conn *c)
{
    return c->ssl && SSL_pending(c->ssl) > 0;
}

void conn_watch(int epoll, struct conn *c, void *owner)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = owner};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

void conn_want_send(int epoll, struct conn *c, void *owner, bool want)
{
    if (c->want_send == want) {
        return;
    }
    c->want_send = want;
    struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0u), .data.ptr = owner};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}
