/* Datagrams to the service manager. */
#include "transport/notify_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"

enum { SEND_SECONDS = 1 };

/* False: it is no address of a service manager. */
static bool read_address(struct notify_socket *n, const char *address)
{
    size_t len = strlen(address);
    bool abstract = address[0] == '@';
    if ((address[0] != '/' && !abstract) || len < 2 || len >= sizeof(n->to.sun_path))
        return false;
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(n->to.sun_path, address, len);
    if (abstract)
        n->to.sun_path[0] = '\0'; /* and no NUL at its end: all its bytes are the name (unix(7)) */
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    return true;
}

int notify_socket_open(struct notify_socket *n, const char *address, char why[LISTENING_WHY_BYTES])
{
    const struct timeval patience = {.tv_sec = SEND_SECONDS};
    *n = (struct notify_socket){.fd = -1};
    if (!read_address(n, address))
        return listening_fail(why, ERR_INVALID,
                              "NOTIFY_SOCKET is neither a path nor an abstract socket: %.100s",
                              address);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0)
        return listening_fail(why, ERR_IO, "no socket for NOTIFY_SOCKET: %s",
                              listening_errno_text(errno));
    (void)setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return 0;
}

int notify_socket_send(const struct notify_socket *n, const char *text)
{
    ssize_t sent;
    do {
        sent = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
                      n->to_len);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? ERR_IO : 0;
}

void notify_socket_close(struct notify_socket *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}
