/* The side of moonwire reload, status and their like: asks a server over its control socket. Waits, so
 * it is for commands, not for servers. */
#pragma once

#include <stddef.h>

enum { CONTROL_ASK_WHY_BYTES = 256 };

/* Connects to the server at path and sends the request, "status". found: the path is of control_find;
 * a socket that a dead server has left behind is removed then. Returns a descriptor, the caller's; or
 * ERR_NOT_FOUND: no server is there; ERR_INVALID: the path is too long; ERR_IO: it does not let us, or
 * is another user's. why: one line for all of these. */
int control_ask(const char *path, const char *request, int found, char why[CONTROL_ASK_WHY_BYTES])
    __attribute__((warn_unused_result));
/* The next bytes of the answer: how many, 0 at its end; ERR_AGAIN: none for so many seconds; ERR_IO. */
long control_read(int fd, char *out, size_t size, double seconds)
    __attribute__((warn_unused_result));
