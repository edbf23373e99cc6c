/* Each call goes to the socket or to TLS. */
#include "transport/transport.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/tls.h"
#include "transport/tls_session.h"

/* SEND_FILE_MOST: of one call, so that a fast peer with a huge file does not hold up the loop. */
enum { SEND_FILE_MOST = 1 << 20, SEND_FILE_CHUNK = 65536 };

_Static_assert((int)TRANSPORT_READ_BYTES == (int)TLS_READ_BYTES, "one contract for all reads");

static long plain_failure(void)
{
    switch (errno) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return ERR_AGAIN;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}

static long plain_read(int fd, void *into, size_t len)
{
    ssize_t n;
    do {
        n = recv(fd, into, len, 0);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return plain_failure() == ERR_AGAIN ? ERR_AGAIN : ERR_IO;
}

static long plain_write(int fd, const void *data, size_t len)
{
    ssize_t n;
    do {
        n = send(fd, data, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : plain_failure();
}

static long plain_writev(int fd, const struct iovec *iov, int count)
{
    /* writev() has no MSG_NOSIGNAL. */
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t n;
    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : plain_failure();
}

static long plain_send_file(int fd, int file, off_t *at, size_t len)
{
    ssize_t n;
    do {
        n = sendfile(fd, file, at, len);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : plain_failure();
}

/* One chunk of the file through the TLS session. */
static long tls_send_chunk(struct tls_session *tls, int file, off_t *at, size_t len)
{
    uint8_t chunk[SEND_FILE_CHUNK];
    ssize_t n;
    do {
        n = pread(file, chunk, len < sizeof(chunk) ? len : sizeof(chunk), *at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return ERR_IO;
    if (n == 0)
        return 0;
    struct iovec piece = {chunk, (size_t)n};
    long taken = tls_writev(tls, &piece, 1);
    if (taken > 0)
        *at += taken;
    return taken;
}

static long tls_send_file(struct tls_session *tls, int file, off_t *at, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        long taken = tls_send_chunk(tls, file, at, len - sent);
        if (taken <= 0)
            return sent > 0 ? (long)sent : taken;
        sent += (size_t)taken;
    }
    return (long)sent;
}

long transport_read(struct transport *t, void *into, size_t len)
{
    assert(len > 0); /* tls_read wants more */
    return t->tls ? tls_read(t->tls, into, len) : plain_read(t->fd, into, len);
}

long transport_write(struct transport *t, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (!t->tls)
        return plain_write(t->fd, data, len);
    struct iovec piece = {(void *)data, len};
    return tls_writev(t->tls, &piece, 1);
}

long transport_writev(struct transport *t, const struct iovec *iov, int count)
{
    if (count > IOV_MAX)
        count = IOV_MAX;
    return t->tls ? tls_writev(t->tls, iov, count) : plain_writev(t->fd, iov, count);
}

long transport_send_file(struct transport *t, int file, off_t *at, size_t len)
{
    if (len > SEND_FILE_MOST)
        len = SEND_FILE_MOST;
    return t->tls ? tls_send_file(t->tls, file, at, len) : plain_send_file(t->fd, file, at, len);
}

int transport_flush(struct transport *t)
{
    return t->tls ? tls_flush(t->tls) : 0;
}

int transport_handshake(struct transport *t)
{
    return t->tls ? tls_handshake(t->tls) : 0;
}

bool transport_wants_write(const struct transport *t)
{
    return t->tls && tls_unsent(t->tls) > 0;
}

size_t transport_unsent(const struct transport *t)
{
    return t->tls ? tls_unsent(t->tls) : 0;
}

size_t transport_memory(const struct transport *t)
{
    return t->tls ? tls_memory(t->tls) : 0;
}

bool transport_pending(const struct transport *t)
{
    return t->tls && tls_pending(t->tls);
}

void transport_shutdown(struct transport *t)
{
    if (t->tls)
        tls_shutdown(t->tls);
    shutdown(t->fd, SHUT_WR);
}

bool transport_met_http(const struct transport *t)
{
    return t->tls && tls_met_http(t->tls);
}

void transport_drop_tls(struct transport *t)
{
    tls_free(t->tls);
    t->tls = NULL;
}

void transport_close(struct transport *t)
{
    tls_free(t->tls);
    t->tls = NULL;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

bool transport_is_lost(const struct transport *t)
{
    struct pollfd p = {.fd = t->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

const char *transport_error(const struct transport *t)
{
    if (t->tls)
        return tls_error(t->tls);
    /* strerror() may write to a buffer of the thread; this one is constant. */
    const char *text = strerrordesc_np(errno);
    return text ? text : "unknown error";
}
