/* Connections, TCP and unix, that come in or are started. Their sockets are non-blocking and
 * close-on-exec. */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

#include "transport/address.h"

/* Accepts one connection. Returns its descriptor (TCP_NODELAY too) with the peer in *peer;
 * ERR_AGAIN: none waits; ERR_LIMIT: the process or the system is out of descriptors or memory, so
 * stop accepting for a while; or ERR_IO: the listener is broken, errno says why. Connections that
 * died while they waited are passed over. */
int tcp_accept(int fd, struct address *peer) __attribute__((warn_unused_result));

/* Who is at the other end of a connection; unknown if it is lost. */
void tcp_peer(int fd, struct address *out);

/* Reads up to len bytes (> 0) and leaves them where they are. Returns how many; 0: the peer has
 * ended its side; ERR_AGAIN: there are none now; or ERR_IO. */
long tcp_peek(int fd, void *into, size_t len) __attribute__((warn_unused_result));
/* Takes len bytes away that tcp_peek has shown. 0 or ERR_IO. */
int tcp_skip(int fd, size_t len) __attribute__((warn_unused_result));

/* Starts a connection. Returns its descriptor, or ERR_LIMIT or ERR_IO with errno. It becomes
 * writable when it is connected or has failed: ask tcp_connected then. */
int tcp_connect(const struct sockaddr *to, socklen_t len) __attribute__((warn_unused_result));
/* Returns 0: it is connected; ERR_AGAIN: not yet; or ERR_IO with errno (ECONNREFUSED, …). */
int tcp_connected(int fd) __attribute__((warn_unused_result));
