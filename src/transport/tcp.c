#include "transport/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

enum {
    DEFAULT_BACKLOG = 4096,
    FREE_PORT_TRIES = 32,
    SILENT_SECONDS = 1 /* a connection is accepted when its first bytes come, or after so long */
};

static const char unix_prefix[] = "unix:";

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    struct sockaddr_storage room;
};

static int fail(char why[TCP_WHY_BYTES], int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char why[TCP_WHY_BYTES], int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, TCP_WHY_BYTES, format, arguments);
    va_end(arguments);
    return code;
}

static const char *errno_text(int number)
{
    const char *text = strerrordesc_np(number);
    return text ? text : "unknown error";
}

/* Addresses */

void address_from(struct address *out, const struct sockaddr *from, socklen_t len)
{
    *out = (struct address){0};
    if (len < sizeof from->sa_family)
        return;
    if (from->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        out->family = AF_INET;
        memcpy(out->bytes, &v4.sin_addr, 4);
        out->port = ntohs(v4.sin_port);
    } else if (from->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        out->family = mapped ? AF_INET : AF_INET6;
        memcpy(out->bytes, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        out->port = ntohs(v6.sin6_port);
    } else if (from->sa_family == AF_UNIX) {
        out->family = AF_UNIX;
    }
}

const char *address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    if (a->family == AF_UNIX)
        return strcpy(out, "unix");
    if ((a->family != AF_INET && a->family != AF_INET6) ||
        !inet_ntop(a->family, a->bytes, out, ADDRESS_TEXT_BYTES))
        strcpy(out, "unknown");
    return out;
}

/* "[::1]:8080", "127.0.0.1:8080" for messages. */
static const char *where(const union any_address *at, char out[ADDRESS_TEXT_BYTES])
{
    struct address a;
    char host[ADDRESS_TEXT_BYTES];
    address_from(&a, &at->any, sizeof *at);
    address_format(&a, host);
    if ((size_t)snprintf(out, ADDRESS_TEXT_BYTES, a.family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
                         (unsigned)a.port) >= ADDRESS_TEXT_BYTES)
        out[ADDRESS_TEXT_BYTES - 1] = '\0';
    return out;
}

/* Listening */

static int in_use(const struct address *a, char why[TCP_WHY_BYTES])
{
    char host[ADDRESS_TEXT_BYTES];
    return fail(why, ERR_IO,
                "port %u on %s is in use: stop the other program or choose another port",
                (unsigned)a->port, address_format(a, host));
}

/* Says what bind() or listen() had against it. */
static int explain(const union any_address *at, int number, char why[TCP_WHY_BYTES])
{
    char text[ADDRESS_TEXT_BYTES];
    struct address a;
    address_from(&a, &at->any, sizeof *at);
    switch (number) {
    case EADDRINUSE:
        return in_use(&a, why);
    case EACCES:
        return fail(why, ERR_IO,
                    "no permission to listen on port %u: choose one from 1024 up, or give the "
                    "program the capability CAP_NET_BIND_SERVICE",
                    (unsigned)a.port);
    case EADDRNOTAVAIL:
        return fail(why, ERR_IO, "%s is not an address of this machine: choose one that is, or *",
                    address_format(&a, text));
    default:
        return fail(why, ERR_IO, "cannot listen on %s: %s", where(at, text), errno_text(number));
    }
}

static int set_flag(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on);
}

/* Where the system has no such option, connections come at once. */
static void defer_accept(int fd)
{
#ifdef TCP_DEFER_ACCEPT
    int seconds = SILENT_SECONDS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
#else
    (void)fd;
#endif
}

static int open_stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A bound and listening TCP socket, or -1 with errno. */
static int listen_at(const union any_address *at, socklen_t len,
                     const struct tcp_listen_options *options)
{
    int fd = open_stream(at->any.sa_family);
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
    socklen_t len = sizeof at;
    struct address a;
    if (getsockname(fd, &at.any, &len))
        return 0;
    address_from(&a, &at.any, len);
    return a.port;
}

struct place {
    union any_address at;
    socklen_t len;
    bool optional; /* left out if the machine has no such family, but another */
};

static struct place place_v4(in_addr_t address, uint16_t port)
{
    struct place p = {.len = sizeof p.at.v4, .optional = true};
    p.at.v4.sin_family = AF_INET;
    p.at.v4.sin_addr.s_addr = htonl(address);
    p.at.v4.sin_port = htons(port);
    return p;
}

static struct place place_v6(struct in6_addr address, uint16_t port)
{
    struct place p = {.len = sizeof p.at.v6, .optional = true};
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
    return memcmp(&left, &right, sizeof left) == 0;
}

static int resolve(const char *host, uint16_t port, struct place out[TCP_LISTENERS_MAX],
                   char why[TCP_WHY_BYTES])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    /* "[::1]" is how addresses are written before a port. */
    char name[256];
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof name)
        return fail(why, ERR_INVALID, "no such host \"%.64s\": give an address, localhost or *",
                    host);
    memcpy(name, host, len);
    name[len] = '\0';

    int failed = getaddrinfo(name, NULL, &hints, &found);
    if (failed)
        return fail(why, ERR_NOT_FOUND,
                    "no such host \"%.64s\" (%s): give an address, localhost or *", name,
                    failed == EAI_SYSTEM ? errno_text(errno) : gai_strerror(failed));
    int count = 0;
    for (struct addrinfo *i = found; i && count < TCP_LISTENERS_MAX; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        struct place p = {.len = i->ai_addrlen};
        memcpy(&p.at, i->ai_addr, i->ai_addrlen);
        set_port(&p.at, port);
        bool known = false;
        for (int k = 0; k < count; k++)
            known = known || same_place(&p, &out[k]);
        if (!known)
            out[count++] = p;
    }
    freeaddrinfo(found);
    return count > 0 ? count : fail(why, ERR_NOT_FOUND, "host \"%.64s\" has no address", name);
}

/* The addresses that a host stands for. "localhost" is not looked up: what it means must not
 * depend on a file of the machine (RFC 6761 §6.3). */
static int places_of(const char *host, uint16_t port, struct place out[TCP_LISTENERS_MAX],
                     char why[TCP_WHY_BYTES])
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

/* Listens at every place with one port. On failure closes all and returns -1 with errno; *at is the
 * place that failed. */
static int listen_places(struct place *places, int count, const struct tcp_listen_options *options,
                         int fds[TCP_LISTENERS_MAX], uint16_t *port, int *at)
{
    int open = 0;
    uint16_t chosen = options->port;
    for (int i = 0; i < count; i++) {
        set_port(&places[i].at, chosen);
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
                      uint16_t *port, char why[TCP_WHY_BYTES])
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
        /* A free port of one family may be taken in the other: try the next one. */
        if (options->port != 0 || errno != EADDRINUSE)
            break;
    }
    return explain(&places[at].at, errno, why);
}

/* Removes a socket's file that nobody listens on any more. 0: the path is free. */
static int clear_stale(const union any_address *at, socklen_t len, char why[TCP_WHY_BYTES])
{
    const char *path = at->un.sun_path;
    struct stat info;
    if (lstat(path, &info)) {
        if (errno == ENOENT)
            return 0;
        return fail(why, ERR_IO, "cannot listen on unix:%s: %s", path, errno_text(errno));
    }
    if (!S_ISSOCK(info.st_mode))
        return fail(why, ERR_IO, "%s exists and is not a socket: remove it or choose another path",
                    path);

    int probe = open_stream(AF_UNIX);
    if (probe < 0)
        return fail(why, ERR_IO, "cannot open a socket: %s", errno_text(errno));
    int number = connect(probe, &at->any, len) ? errno : 0;
    close(probe);
    if (number == ENOENT)
        return 0;
    if (number != ECONNREFUSED)
        return fail(why, ERR_IO, "unix:%s is in use: stop the other program or choose another path",
                    path);
    if (unlink(path) && errno != ENOENT)
        return fail(why, ERR_IO, "cannot remove the stale socket %s: %s", path, errno_text(errno));
    return 0;
}

static int listen_unix(const struct tcp_listen_options *options, const char *path,
                       char why[TCP_WHY_BYTES])
{
    union any_address at = {.un = {.sun_family = AF_UNIX}};
    size_t len = strlen(path);
    if (len == 0)
        return fail(why, ERR_INVALID, "unix: needs a path, as in unix:/run/app.sock");
    if (len >= sizeof at.un.sun_path)
        return fail(why, ERR_INVALID,
                    "the path of unix:%.40s… is too long: %zu bytes, at most %zu fit", path, len,
                    sizeof at.un.sun_path - 1);
    memcpy(at.un.sun_path, path, len + 1);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);

    int cleared = clear_stale(&at, address_len, why);
    if (cleared < 0)
        return cleared;
    int fd = open_stream(AF_UNIX);
    if (fd < 0)
        return fail(why, ERR_IO, "cannot open a socket: %s", errno_text(errno));
    /* The mode of a socket before bind() is that of its file, less the umask (unix(7)). */
    if ((options->private && fchmod(fd, S_IRUSR | S_IWUSR)) || bind(fd, &at.any, address_len) ||
        listen(fd, options->backlog > 0 ? options->backlog : DEFAULT_BACKLOG)) {
        int number = errno;
        close(fd);
        return fail(why, ERR_IO, "cannot listen on unix:%s: %s", path, errno_text(number));
    }
    return fd;
}

int tcp_listen(const struct tcp_listen_options *options, int fds[TCP_LISTENERS_MAX], uint16_t *port,
               char why[TCP_WHY_BYTES])
{
    why[0] = '\0';
    *port = 0;
    size_t prefix = sizeof unix_prefix - 1;
    if (!options->host || strncmp(options->host, unix_prefix, prefix) != 0)
        return listen_tcp(options, fds, port, why);
    int fd = listen_unix(options, options->host + prefix, why);
    if (fd < 0)
        return fd;
    fds[0] = fd;
    return 1;
}

void tcp_listen_close(int fd)
{
    union any_address at = {0};
    socklen_t len = sizeof at;
    /* First the file, then the socket: nobody finds a path that refuses. */
    if (getsockname(fd, &at.any, &len) == 0 && at.any.sa_family == AF_UNIX &&
        at.un.sun_path[0] != '\0')
        unlink(at.un.sun_path);
    close(fd);
}

/* Connections */

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
        union any_address from;
        socklen_t len = sizeof from;
        int accepted = accept4(fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            address_from(peer, &from.any, len);
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

int tcp_connect(const struct sockaddr *to, socklen_t len)
{
    int fd = open_stream(to->sa_family);
    if (fd < 0)
        return out_of_resources(errno) ? ERR_LIMIT : ERR_IO;
    if (to->sa_family != AF_UNIX)
        (void)set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
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
    socklen_t len = sizeof number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len))
        return ERR_IO;
    if (number != 0) {
        errno = number;
        return ERR_IO;
    }
    union any_address peer;
    len = sizeof peer;
    if (getpeername(fd, &peer.any, &len) == 0)
        return 0;
    return errno == ENOTCONN ? ERR_AGAIN : ERR_IO;
}
