/* Sockets that listen already when the process starts, since the service manager has opened them
 * (sd_listen_fds(3)): the port of a service is then open while it is started anew, and the process
 * itself needs no right to open it.
 *
 * One takes the place of a socket that would be opened at its very address. It stays open for the
 * life of the process, whatever becomes of the listener, since the service manager holds it too and
 * nobody could open the address again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { INHERITED_MAX = 64 };

struct inherited_socket {
    int fd;
    bool used; /* somebody has listened with it */
};

struct inherited {
    struct inherited_socket sockets[INHERITED_MAX];
    size_t count;
};

/* Takes the sockets that LISTEN_FDS and LISTEN_PID speak of, and takes these, and LISTEN_FDNAMES,
 * out of the environment. Descriptors that do not listen are left alone. */
void inherited_take(struct inherited *i);
void inherited_close(struct inherited *i);

/* Returns a descriptor of its own, non-blocking and close-on-exec, for the socket that listens at
 * this address, or -1. i may be NULL. */
int inherited_find(struct inherited *i, const struct sockaddr *at, socklen_t len)
    __attribute__((warn_unused_result));
/* Does a socket of the IPv6 address "::" with this port take connections over IPv4, too? Then no
 * other can be opened for these. i may be NULL. */
bool inherited_has_both(const struct inherited *i, unsigned port);

/* The address of a socket that nobody has listened with, for people: "127.0.0.1:80". *at: 0 at
 * first. False: there are no more. i may be NULL. */
bool inherited_unused(const struct inherited *i, size_t *at, char *out, size_t size);
