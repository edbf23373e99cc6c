/* Connects to one of the addresses of a host (RFC 8305, in its simple form). Families alternate.
 * The next attempt begins a quarter of a second after the last one, or as soon as one has failed;
 * the first that succeeds wins, and the others are closed. Each attempt waits for its place at its
 * address (connect_queue.h), and other addresses are tried meanwhile. */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "engine/client/connect_queue.h"
#include "engine/client/resolver.h"
#include "transport/tcp.h"

struct dial_attempt {
    ev_io io;
    struct dial *dial;
    struct connect_place place;
    int fd; /* -1: it waits for its place, or is over */
};

struct dial {
    struct ev_loop *loop;
    /* Called once, from the loop or from dial_start, when it is over: with the connected socket,
     * which the callee owns, and its peer; or with -1, and errno of the last attempt that failed.
     * It may free the dial. */
    void (*done)(struct dial *d, int fd, const struct address *peer);
    void *data;                /* the owner's */
    struct connect_desk *desk; /* NULL: it waits for no place */
    uint32_t waiting_max;      /* places, in all queues */
    bool crowded;              /* so many waited that it could not */
    ev_timer next;
    uint32_t count;
    uint32_t begun;
    uint32_t open; /* attempts that are under way or wait for their turn */
    int error;     /* errno of the last failure */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    struct dial_attempt attempts[RESOLVER_ADDRESSES_MAX];
};

/* Starts to connect to one of the addresses, of which there is at least one. The caller has set
 * done, data, desk and waiting_max. */
void dial_start(struct dial *d, struct ev_loop *loop, const struct resolver_answer *to);
/* Closes the attempts that are under way; done is not called any more. When the dial is over
 * already, it gives up the place at the address, which is held until the WebSocket is open or has
 * failed. */
void dial_stop(struct dial *d);
/* Does it do nothing but wait for its place? */
bool dial_waits(const struct dial *d);
