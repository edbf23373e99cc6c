/* Walking over pieces of memory, some of which may be empty. */
#include "transport/tls_pieces.h"

#include <assert.h>

static void skip_empty(struct tls_pieces *at)
{
    while (at->left > 0 && at->offset == at->piece->iov_len) {
        at->piece++;
        at->left--;
        at->offset = 0;
    }
}

void tls_pieces_advance(struct tls_pieces *at, size_t n)
{
    at->taken += n;
    for (skip_empty(at); n > 0; skip_empty(at)) {
        assert(at->left > 0);
        size_t rest = at->piece->iov_len - at->offset;
        size_t step = n < rest ? n : rest;
        at->offset += step;
        n -= step;
    }
}
