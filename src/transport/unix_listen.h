/* Unix sockets that listen, and the files that they make (unix(7)): tcp_listen.c opens them. */
#pragma once

#include <stdbool.h>

#include "transport/inherited.h"
#include "transport/listening.h"

struct unix_listen_options {
    const char *path;
    int backlog;
    bool private;                     /* as in struct tcp_listen_options */
    bool (*leaves)(const char *path); /* as there */
    struct inherited *inherited;      /* as there */
};

/* Listens at the path. A file there that nobody listens on is replaced, and so is one whose owner
 * leaves it. 0 with *out; or, with one line in why, ERR_INVALID: the path is empty or too long, or
 * ERR_IO. */
int unix_listen(const struct unix_listen_options *options, struct listening *out,
                char why[LISTENING_WHY_BYTES]) __attribute__((warn_unused_result));
/* Removes the file that the socket made, unless another one is at its path now. The socket is still
 * open: nobody finds a path that refuses, and no other file can have got the same inode. */
void unix_listen_remove(const struct listening *l);
