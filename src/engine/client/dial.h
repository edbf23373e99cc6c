/* From the addresses of a host to one connected socket (RFC 8305, in its simple form): families in
 * turn, the next attempt after a quarter of a second or as soon as one has failed, the first that
 * succeeds wins and the others are closed. */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "engine/client/resolver.h"
#include "transport/tcp.h"

struct dial_attempt {
    ev_io io;
    int fd; /* -1: not begun, or over */
};

struct dial {
    struct ev_loop *loop;
    /* Called once, from the loop or from dial_start, when it is over: the connected socket, which is
     * the callee's, and its peer; or -1 with errno of the last attempt that failed. The dial may be
     * freed in it. */
    void (*done)(struct dial *d, int fd, const struct address *peer);
    void *data; /* the owner's */
    ev_timer next;
    uint32_t count;
    uint32_t begun;
    uint32_t open; /* attempts that are under way */
    int error;     /* errno of the last failure */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    struct dial_attempt attempts[RESOLVER_ADDRESSES_MAX];
};

/* done and data are set before; at least one address. */
void dial_start(struct dial *d, struct ev_loop *loop, const struct resolver_answer *to);
/* Closes what is under way; done is not called any more. Also for one that is over. */
void dial_stop(struct dial *d);
