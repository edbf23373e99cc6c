/* The way to the service manager (sd_notify(3)): one datagram for each thing that it is told. */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "transport/listening.h"

struct notify_socket {
    int fd; /* -1: there is no service manager */
    struct sockaddr_un to;
    socklen_t to_len;
};

/* address: what $NOTIFY_SOCKET holds: an absolute path, or "@name" for one in the abstract
 * namespace. 0; or, with one line in why and n->fd -1, ERR_INVALID: it is neither, or too long;
 * ERR_IO: no socket can be had. */
int notify_socket_open(struct notify_socket *n, const char *address, char why[LISTENING_WHY_BYTES])
    __attribute__((warn_unused_result));
/* Sends lines such as "READY=1\nSTATUS=…". Waits a second at most when nobody reads. 0, or ERR_IO
 * with errno. */
int notify_socket_send(const struct notify_socket *n, const char *text)
    __attribute__((warn_unused_result));
/* Does nothing when it is not open. */
void notify_socket_close(struct notify_socket *n);
