/* Accepting and starting connections. */
#include "transport/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

/* accept(2): on Linux, errors of the new connection are reported here and mean "try the next". */
static bool died_in_the_queue(int number)
{
    switch (number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EPERM: /* a firewall rule refused it */
        return true;
    default:
        return false;
    }
}

static bool out_of_resources(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

int tcp_accept(int fd, struct address *peer)
{
    /* Bounded, so that a listener which fails for good cannot hold up the loop. */
    for (int tries = 0; tries < 64; tries++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int accepted = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            address_from(peer, (struct sockaddr *)&from, len);
            return accepted;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return ERR_AGAIN;
        if (out_of_resources(errno))
            return ERR_LIMIT;
        if (!died_in_the_queue(errno))
            return ERR_IO;
    }
    return ERR_AGAIN;
}

void tcp_peer(int fd, struct address *out)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    *out = (struct address){0};
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
        address_from(out, (struct sockaddr *)&peer, len);
}

long tcp_peek(int fd, void *into, size_t len)
{
    ssize_t n;
    do {
        n = recv(fd, into, len, MSG_PEEK);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_IO;
}

int tcp_skip(int fd, size_t len)
{
    uint8_t away[512];
    while (len > 0) {
        ssize_t n = recv(fd, away, len < sizeof(away) ? len : sizeof(away), 0);
        if (n > 0)
            len -= (size_t)n;
        else if (n == 0 || errno != EINTR)
            return ERR_IO;
    }
    return 0;
}

int tcp_connect(const struct sockaddr *to, socklen_t len)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return out_of_resources(errno) ? ERR_LIMIT : ERR_IO;
    int on = 1;
    if (to->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, to, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return ERR_IO;
}

int tcp_connected(int fd)
{
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len))
        return ERR_IO;
    if (number != 0) {
        errno = number;
        return ERR_IO;
    }
    struct sockaddr_storage peer;
    len = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
        return 0;
    return errno == ENOTCONN ? ERR_AGAIN : ERR_IO;
}
