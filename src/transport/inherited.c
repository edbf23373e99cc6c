/* Sockets of the service manager. */
#include "transport/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport/address.h"

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

union bound {
    struct sockaddr any;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

static bool bound_at(int fd, union bound *out, socklen_t *len)
{
    *out = (union bound){0};
    *len = sizeof(*out);
    return getsockname(fd, &out->any, len) == 0;
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, name, &value, &len) ? 0 : value;
}

static bool listens(int fd)
{
    return option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) &&
           option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
}

/* ---- taking ---- */

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long number = text && *text ? strtol(text, &end, 10) : -1;
    return number < 0 || *end ? -1 : number;
}

void inherited_take(struct inherited *i)
{
    *i = (struct inherited){0};
    long count = number_of("LISTEN_PID") == getpid() ? number_of("LISTEN_FDS") : -1;
    for (int fd = FIRST_FD; fd < FIRST_FD + count && i->count < INHERITED_MAX; fd++) {
        if (!listens(fd))
            continue;
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        i->sockets[i->count++] = (struct inherited_socket){.fd = fd};
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void inherited_close(struct inherited *i)
{
    while (i->count > 0)
        close(i->sockets[--i->count].fd);
}

/* ---- finding ---- */

static bool same_path(const struct sockaddr *a, const struct sockaddr *b)
{
    const struct sockaddr_un *left = (const struct sockaddr_un *)(const void *)a;
    const struct sockaddr_un *right = (const struct sockaddr_un *)(const void *)b;
    return left->sun_path[0] &&
           strncmp(left->sun_path, right->sun_path, sizeof(left->sun_path)) == 0;
}

static bool same_place(const union bound *bound, socklen_t bound_len, const struct sockaddr *at,
                       socklen_t len)
{
    if (bound->any.sa_family != at->sa_family)
        return false;
    if (at->sa_family == AF_UNIX)
        return same_path(&bound->any, at);
    struct address left, right;
    address_from(&left, &bound->any, bound_len);
    address_from(&right, at, len);
    return left.port == right.port && memcmp(&left, &right, ADDRESS_KEY_BYTES) == 0;
}

int inherited_find(struct inherited *i, const struct sockaddr *at, socklen_t len)
{
    for (size_t n = 0; i && n < i->count; n++) {
        union bound bound;
        socklen_t bound_len;
        struct inherited_socket *s = &i->sockets[n];
        if (!bound_at(s->fd, &bound, &bound_len) || !same_place(&bound, bound_len, at, len))
            continue;
        int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, FIRST_FD);
        if (fd < 0)
            return -1;
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        s->used = true;
        return fd;
    }
    return -1;
}

bool inherited_has_both(const struct inherited *i, unsigned port)
{
    for (size_t n = 0; i && n < i->count; n++) {
        union bound bound;
        socklen_t len;
        if (bound_at(i->sockets[n].fd, &bound, &len) && bound.any.sa_family == AF_INET6 &&
            IN6_IS_ADDR_UNSPECIFIED(&bound.v6.sin6_addr) && ntohs(bound.v6.sin6_port) == port &&
            !option_of(i->sockets[n].fd, IPPROTO_IPV6, IPV6_V6ONLY))
            return true;
    }
    return false;
}

/* ---- what is left over ---- */

static void describe(int fd, char *out, size_t size)
{
    union bound bound;
    socklen_t len;
    struct address a;
    char text[ADDRESS_TEXT_BYTES];
    if (!bound_at(fd, &bound, &len)) {
        snprintf(out, size, "descriptor %d", fd);
    } else if (bound.any.sa_family == AF_UNIX) {
        snprintf(out, size, "unix:%.*s", (int)sizeof(bound.local.sun_path), bound.local.sun_path);
    } else {
        address_from(&a, &bound.any, len);
        snprintf(out, size, a.family == AF_INET6 ? "[%s]:%u" : "%s:%u", address_format(&a, text),
                 a.port);
    }
}

bool inherited_unused(const struct inherited *i, size_t *at, char *out, size_t size)
{
    for (; i && *at < i->count; ++*at) {
        if (i->sockets[*at].used)
            continue;
        describe(i->sockets[*at].fd, out, size);
        ++*at;
        return true;
    }
    return false;
}
