/* A place in a caller's pieces, from which records are made. */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

struct tls_pieces {
    const struct iovec *piece;
    int left;      /* pieces, this one included; 0: at the end */
    size_t offset; /* in this piece */
    size_t taken;  /* bytes so far */
};

/* Moves on by n bytes, which must be there, and past empty pieces. So begin with 0. */
void tls_pieces_advance(struct tls_pieces *at, size_t n);
