/* Sockets that listen, TCP and unix. All are non-blocking and close-on-exec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "transport/inherited.h"
#include "transport/listening.h"

enum { TCP_LISTENERS_MAX = 8 }; /* sockets of one tcp_listen call */

struct tcp_listen_options {
    /* NULL or "localhost": loopback, IPv4 and IPv6 as far as the machine has them; "*": every
     * address of both; an address or a name; "unix:/path" */
    const char *host;
    uint16_t port; /* 0: one that is free; ignored for unix */
    int backlog;   /* 0: a default */
    /* Nothing is said to a peer before it has spoken: a TCP connection is accepted when its first
     * bytes come, or when it was silent for a second (tcp(7), TCP_DEFER_ACCEPT), so that it wakes
     * the caller once, not twice. */
    bool peer_first;
    bool private; /* a unix socket's file is for its owner only, whatever the umask */
    /* Somebody listens at the path of a unix socket: will they leave it, so that we may have it
     * now? NULL: they will not. It may wait. */
    bool (*leaves)(const char *path);
    /* Sockets that listen already, to be taken where they are at the address; or NULL. */
    struct inherited *inherited;
};

/* Binds and listens. Returns the number of sockets put in out (>= 1), with their port in *port, or
 * a negative enum error with one line in why that says what to do: ERR_INVALID (host is not one),
 * ERR_NOT_FOUND (it has no address), ERR_IN_USE (somebody listens there) or ERR_IO. A unix socket's
 * file that nobody listens on is replaced; one that somebody listens on is an error, unless they
 * leave. It may ask the system's resolver, thus wait: do not call it in an event loop. */
int tcp_listen(const struct tcp_listen_options *options, struct listening out[TCP_LISTENERS_MAX],
               uint16_t *port, char why[LISTENING_WHY_BYTES]) __attribute__((warn_unused_result));
/* Closes the socket and, if it made a file, removes that; one that has taken its place stays. */
void tcp_listen_close(const struct listening *l);
