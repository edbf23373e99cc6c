/* What tcp_listen.c and unix_listen.c give. */
#pragma once

#include <stdint.h>

enum { LISTENING_WHY_BYTES = 256 }; /* room for one line that says what is wrong */

/* A socket that listens. */
struct listening {
    int fd;
    /* Which file a unix socket made; both 0: there is none. While fd is open no other file gets
     * these numbers, whatever becomes of the path. */
    uint64_t device, inode;
};
