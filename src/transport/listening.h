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

/* Writes why, as printf formats it, and returns the code, one of enum error. */
int listening_fail(char why[LISTENING_WHY_BYTES], int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));
/* The system's text for an errno. */
const char *listening_errno_text(int number);
