/* The commands' side of the control socket: moonwire reload, rollback and status ask a server here,
 * and so does a server that begins. It waits, so it is not for threads that serve. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { CONTROL_ASK_WHY_BYTES = 256 };

/* Connects to the server at path and sends the request: "status". found: control_find has found the
 * path; a socket that a dead server has left there is then removed. Returns a descriptor, which the
 * caller closes; or, with one line in why, ERR_NOT_FOUND: no server is there; ERR_INVALID: the path
 * is too long; ERR_IO: the socket cannot be used, or is another user's. */
int control_ask(const char *path, const char *request, int found, char why[CONTROL_ASK_WHY_BYTES])
    __attribute__((warn_unused_result));
/* Reads the next bytes of the answer. Returns their number, 0 at the end; ERR_AGAIN: none came
 * within so many seconds; ERR_IO. */
long control_read(int fd, char *out, size_t size, double seconds)
    __attribute__((warn_unused_result));

/* Does the server whose socket is at path say that it is ending? Also true when it has ended
 * meanwhile. It has 2 seconds to answer. For struct tcp_listen_options. */
bool control_is_leaving(const char *path);
