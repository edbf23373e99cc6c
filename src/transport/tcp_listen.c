/* Opens the sockets that listen at a host and a port, or says in one line why it cannot. */
#include "transport/tcp_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/address.h"
#include "transport/unix_listen.h"

enum {
    DEFAULT_BACKLOG = 4096,
    FREE_PORT_TRIES = 32,
    NAME_ROOM = 256,   /* of a host's name, with its NUL */
    SILENT_SECONDS = 1 /* until a connection is accepted whose peer says nothing */
};

static const char unix_prefix[] = "unix:";

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

/* Writes "[::1]:8080" or "127.0.0.1:8080", for messages. Returns out. */
static const char *where(const union any_address *at, char out[ADDRESS_TEXT_BYTES])
{
    struct address a;
    char host[ADDRESS_TEXT_BYTES];
    address_from(&a, &at->any, sizeof(*at));
    address_format(&a, host);
    if ((size_t)snprintf(out, ADDRESS_TEXT_BYTES, a.family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
                         (unsigned)a.port) >= ADDRESS_TEXT_BYTES)
        out[ADDRESS_TEXT_BYTES - 1] = '\0';
    return out;
}

/* ---- one socket that listens ---- */

static int in_use(const struct address *a, char why[LISTENING_WHY_BYTES])
{
    char host[ADDRESS_TEXT_BYTES];
    return listening_fail(why, ERR_IN_USE,
                          "port %u on %s is in use: stop the other program or choose another port",
                          (unsigned)a->port, address_format(a, host));
}

/* Says why bind() or listen() refused: number is errno. Returns ERR_IN_USE or
 * ERR_IO. */
static int explain(const union any_address *at, int number, char why[LISTENING_WHY_BYTES])
{
    char text[ADDRESS_TEXT_BYTES];
    struct address a;
    address_from(&a, &at->any, sizeof(*at));
    switch (number) {
    case EADDRINUSE:
        return in_use(&a, why);
    case EACCES:
        return listening_fail(
            why, ERR_IO,
            "no permission to listen on port %u: choose one from 1024 up, or give the "
            "program the capability CAP_NET_BIND_SERVICE",
            (unsigned)a.port);
    case EADDRNOTAVAIL:
        return listening_fail(why, ERR_IO,
                              "%s is not an address of this machine: choose one that is, or *",
                              address_format(&a, text));
    default:
        return listening_fail(why, ERR_IO, "cannot listen on %s: %s", where(at, text),
                              listening_errno_text(number));
    }
}

static int set_flag(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on));
}

/* On a system without this option, connections are accepted at once. */
static void defer_accept(int fd)
{
#ifdef TCP_DEFER_ACCEPT
    int seconds = SILENT_SECONDS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
#else
    (void)fd;
#endif
}

static int open_stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* One that the service manager has opened, or -1. */
static int take_over(const union any_address *at, socklen_t len,
                     const struct tcp_listen_options *options)
{
    int fd = inherited_find(options->inherited, &at->any, len);
    if (fd >= 0 && options->peer_first)
        defer_accept(fd);
    if (fd >= 0)
        (void)set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

/* A bound and listening TCP socket, or -1 with errno. */
static int listen_at(const union any_address *at, socklen_t len,
                     const struct tcp_listen_options *options)
{
    int fd = take_over(at, len, options);
    if (fd >= 0)
        return fd;
    fd = open_stream(at->any.sa_family);
    if (fd < 0)
        return -1;
    if (options->peer_first)
        defer_accept(fd);
    /* Accepted sockets inherit TCP_NODELAY, which saves a system call for each. */
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) || set_flag(fd, IPPROTO_TCP, TCP_NODELAY) ||
        (at->any.sa_family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY)) ||
        bind(fd, &at->any, len) ||
        listen(fd, options->backlog > 0 ? options->backlog : DEFAULT_BACKLOG)) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static void set_port(union any_address *at, uint16_t port)
{
    if (at->any.sa_family == AF_INET)
        at->v4.sin_port = htons(port);
    else
        at->v6.sin6_port = htons(port);
}

static uint16_t port_of(int fd)
{
    union any_address at = {0};
    socklen_t len = sizeof(at);
    struct address a;
    if (getsockname(fd, &at.any, &len))
        return 0;
    address_from(&a, &at.any, len);
    return a.port;
}

/* ---- the places that a host stands for ---- */

struct place {
    union any_address at;
    socklen_t len;
    bool optional; /* left out if the machine does not have its family, but another one */
};

static struct place place_v4(in_addr_t address, uint16_t port)
{
    struct place p = {.len = sizeof(p.at.v4), .optional = true};
    p.at.v4.sin_family = AF_INET;
    p.at.v4.sin_addr.s_addr = htonl(address);
    p.at.v4.sin_port = htons(port);
    return p;
}

static struct place place_v6(struct in6_addr address, uint16_t port)
{
    struct place p = {.len = sizeof(p.at.v6), .optional = true};
    p.at.v6.sin6_family = AF_INET6;
    p.at.v6.sin6_addr = address;
    p.at.v6.sin6_port = htons(port);
    return p;
}

static bool same_place(const struct place *a, const struct place *b)
{
    struct address left, right;
    address_from(&left, &a->at.any, a->len);
    address_from(&right, &b->at.any, b->len);
    return memcmp(&left, &right, sizeof(left)) == 0;
}

/* Copies a host's name without the brackets of "[::1]". False if it is empty or too long. */
static bool copy_name(const char *host, char out[NAME_ROOM])
{
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= NAME_ROOM)
        return false;
    memcpy(out, host, len);
    out[len] = '\0';
    return true;
}

static bool is_among(const struct place *p, const struct place *places, int count)
{
    for (int i = 0; i < count; i++)
        if (same_place(p, &places[i]))
            return true;
    return false;
}

/* The different places among those that the resolver found; returns how many. */
static int take_found(const struct addrinfo *found, uint16_t port,
                      struct place out[TCP_LISTENERS_MAX])
{
    int count = 0;
    for (const struct addrinfo *i = found; i && count < TCP_LISTENERS_MAX; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        struct place p = {.len = i->ai_addrlen};
        memcpy(&p.at, i->ai_addr, i->ai_addrlen);
        set_port(&p.at, port);
        if (!is_among(&p, out, count))
            out[count++] = p;
    }
    return count;
}

/* What to write in the place of a name that nobody knows. */
static const char *advice(const char *name)
{
    if (strstr(name, "://"))
        return "write the host alone, without http:// and a path";
    if (name[0] == '/')
        return "for a unix socket write unix: before the path";
    if (strchr(name, ':'))
        return "write the port as port, not behind the host";
    return "give an address, localhost or *";
}

static int resolve(const char *host, uint16_t port, struct place out[TCP_LISTENERS_MAX],
                   char why[LISTENING_WHY_BYTES])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    char name[NAME_ROOM];
    if (!copy_name(host, name))
        return listening_fail(why, ERR_INVALID, "no such host \"%.64s\": %s", host, advice(host));
    int failed = getaddrinfo(name, NULL, &hints, &found);
    if (failed)
        return listening_fail(why, ERR_NOT_FOUND, "no such host \"%.64s\" (%s): %s", name,
                              failed == EAI_SYSTEM ? listening_errno_text(errno)
                                                   : gai_strerror(failed),
                              advice(name));
    int count = take_found(found, port, out);
    freeaddrinfo(found);
    return count > 0 ? count
                     : listening_fail(why, ERR_NOT_FOUND, "host \"%.64s\" has no address", name);
}

/* The places that a host stands for: how many, or a negative code. "localhost" is not looked up:
 * what it means must not depend on a file of the machine (RFC 6761 §6.3). */
static int places_of(const char *host, uint16_t port, struct place out[TCP_LISTENERS_MAX],
                     char why[LISTENING_WHY_BYTES])
{
    if (!host || strcmp(host, "localhost") == 0) {
        out[0] = place_v4(INADDR_LOOPBACK, port);
        out[1] = place_v6(in6addr_loopback, port);
        return 2;
    }
    if (strcmp(host, "*") == 0) {
        out[0] = place_v4(INADDR_ANY, port);
        out[1] = place_v6(in6addr_any, port);
        return 2;
    }
    return resolve(host, port, out, why);
}

static bool family_is_missing(int number)
{
    return number == EAFNOSUPPORT || number == EADDRNOTAVAIL || number == EPROTONOSUPPORT;
}

/* ---- listening ---- */

/* A socket of the service manager's for "::" takes what comes over IPv4, too. */
static bool is_covered(const struct place *p, const struct tcp_listen_options *options)
{
    return p->at.any.sa_family == AF_INET && p->at.v4.sin_addr.s_addr == htonl(INADDR_ANY) &&
           inherited_has_both(options->inherited, options->port);
}

/* Listens at every place with one port. On failure it closes all and returns -1 with errno; *at is
 * the place that failed. */
static int listen_places(struct place *places, int count, const struct tcp_listen_options *options,
                         int fds[TCP_LISTENERS_MAX], uint16_t *port, int *at)
{
    int open = 0;
    uint16_t chosen = options->port;
    for (int i = 0; i < count; i++) {
        set_port(&places[i].at, chosen);
        if (is_covered(&places[i], options))
            continue;
        int fd = listen_at(&places[i].at, places[i].len, options);
        if (fd >= 0) {
            fds[open++] = fd;
            if (chosen == 0)
                chosen = port_of(fd);
            continue;
        }
        *at = i;
        bool others = open > 0 || i + 1 < count;
        if (places[i].optional && family_is_missing(errno) && others)
            continue;
        int number = errno;
        while (open > 0)
            close(fds[--open]);
        errno = number;
        return -1;
    }
    *port = chosen;
    return open;
}

static int listen_tcp(const struct tcp_listen_options *options, int fds[TCP_LISTENERS_MAX],
                      uint16_t *port, char why[LISTENING_WHY_BYTES])
{
    struct place places[TCP_LISTENERS_MAX];
    int count = places_of(options->host, options->port, places, why);
    if (count < 0)
        return count;
    int at = 0;
    for (int tries = 0; tries < FREE_PORT_TRIES; tries++) {
        int open = listen_places(places, count, options, fds, port, &at);
        if (open > 0)
            return open;
        /* A port that is free in one family may be taken in the other: try the next one. */
        if (options->port != 0 || errno != EADDRINUSE)
            break;
    }
    return explain(&places[at].at, errno, why);
}

int tcp_listen(const struct tcp_listen_options *options, struct listening out[TCP_LISTENERS_MAX],
               uint16_t *port, char why[LISTENING_WHY_BYTES])
{
    why[0] = '\0';
    *port = 0;
    int backlog = options->backlog > 0 ? options->backlog : DEFAULT_BACKLOG;
    size_t prefix = sizeof(unix_prefix) - 1;
    if (options->host && strncmp(options->host, unix_prefix, prefix) == 0) {
        const struct unix_listen_options file = {options->host + prefix, backlog, options->private,
                                                 options->leaves, options->inherited};
        int err = unix_listen(&file, &out[0], why);
        return err ? err : 1;
    }
    int fds[TCP_LISTENERS_MAX];
    int open = listen_tcp(options, fds, port, why);
    for (int i = 0; i < open; i++)
        out[i] = (struct listening){.fd = fds[i]};
    return open;
}

void tcp_listen_close(const struct listening *l)
{
    unix_listen_remove(l);
    close(l->fd);
}
