/* Listening and connecting sockets, TCP and unix, and the addresses of peers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    TCP_LISTENERS_MAX = 8, /* sockets of one tcp_listen call */
    TCP_WHY_BYTES = 256,   /* room for the text of a failure */
    ADDRESS_TEXT_BYTES = 64
};

/* A peer. Equal peers have equal bytes (IPv4-mapped IPv6 is kept as IPv4, unused bytes are 0), so
 * that family and bytes may be a key. */
struct address {
    uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC (0): unknown */
    uint8_t bytes[16]; /* network order; the first 4 for AF_INET */
    uint16_t port;     /* host order */
};

void address_from(struct address *out, const struct sockaddr *from, socklen_t len);
/* "127.0.0.1", "::1", "unix" or "unknown", without the port. Returns out. */
const char *address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES]);

struct tcp_listen_options {
    const char
        *host;       /* NULL or "localhost": loopback, IPv4 and IPv6 where there is such; "*": every
                       * address of both; an address or a name; "unix:/path" */
    uint16_t port;   /* 0: one that is free; ignored for unix */
    int backlog;     /* 0: a default */
    bool peer_first; /* nothing is said to a peer before it has spoken: a TCP connection is accepted
                      * when its first bytes come, or when it was silent for a second (tcp(7),
                      * TCP_DEFER_ACCEPT). So it is woken up for once, not twice */
    bool private;    /* a unix socket's file is for its owner only, whatever the umask */
};

/* Binds and listens. Returns the number of sockets put in fds (>= 1; non-blocking, close-on-exec)
 * and the port in *port, or a negative enum error with one line in why that says what to do. A unix
 * socket's file that nobody listens on is replaced; one that somebody does is an error.
 * May ask the system's resolver, thus wait: for start and reload, not for the event loop. */
int tcp_listen(const struct tcp_listen_options *options, int fds[TCP_LISTENERS_MAX], uint16_t *port,
               char why[TCP_WHY_BYTES]) __attribute__((warn_unused_result));
/* Closes fd and, if it is a unix socket's, removes its file. */
void tcp_listen_close(int fd);

/* Accepts one connection: its descriptor (non-blocking, close-on-exec, TCP_NODELAY) with the peer
 * in *peer; ERR_AGAIN: none waits; ERR_LIMIT: the process or the system is out of descriptors or
 * memory, stop accepting for a while; ERR_IO: the listener is broken, errno says why. Connections
 * that died while they waited are passed over. */
int tcp_accept(int fd, struct address *peer) __attribute__((warn_unused_result));

/* Starts a connection. The descriptor (it becomes writable when connected or failed: then ask
 * tcp_connected) or ERR_LIMIT, ERR_IO with errno. */
int tcp_connect(const struct sockaddr *to, socklen_t len) __attribute__((warn_unused_result));
/* 0, ERR_AGAIN, or ERR_IO with errno (ECONNREFUSED, …). */
int tcp_connected(int fd) __attribute__((warn_unused_result));
