/* The struct of a connection, the slot it lies in, the handle that names it, and its deadline. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "engine/ground/outbound.h"
#include "protocol/extension.h"
#include "protocol/message.h"
#include "transport/tcp.h"
#include "transport/transport.h"

struct client_opening;
struct http_session;
struct subscriptions;
struct worker;
struct ws_deflate;
struct ws_request;

enum conn_state {
    CONN_CONNECT,   /* opened by the script: name, TCP, TLS (client/) */
    CONN_PROXY,     /* accepted from a proxy: its PROXY header */
    CONN_HANDSHAKE, /* accepted: the peer's TLS handshake */
    CONN_HTTP,      /* accepted: HTTP (http/) */
    CONN_ANSWER,    /* opened by the script: the request is on its way (client/) */
    CONN_OPEN,      /* WebSocket: both directions (ws/) */
    CONN_CLOSING,   /* WebSocket: our Close is queued, the peer's has not come */
    CONN_LINGER,    /* nothing more is said: flush, end our side, wait for the peer's end */
    CONN_DEAD,      /* closed; freed at the end of the turn */
    CONN_STATES
};

/* What a connection has that was not accepted but opened: what a route would say. */
struct client {
    struct limits limits;
    struct deflate_options deflate;
    struct client_opening *opening; /* until it is open */
};

/* Packed by hand: 10,000 that are idle are 10,000 of these and little else. */
struct conn {
    ev_io io; /* io.data: ws_aside.c has a block there, conn_proxy.c a part of a header */
    struct transport transport;
    struct outbound out;
    struct message_reader reader;
    struct http_session *http;           /* while a request is read or answered */
    struct client *client;               /* opened by the script: we are the client; else NULL */
    const struct ws_request *request;    /* of a WebSocket: what ws.headers and the like read */
    struct ws_deflate *deflate;          /* permessage-deflate, when agreed */
    struct subscriptions *subscriptions; /* NULL: there never was one (ws/topics.c) */
    uint32_t held;  /* what its worker counts for it, in units of PIECE_UNIT (conn_account.c) */
    uint32_t route; /* of the open WebSocket */
    union {
        uint32_t request_serial; /* of the last HTTP request */
        uint32_t rate_second;    /* of a WebSocket, for messages_per_second: the second, and */
    };
    uint32_t rate_count; /* the messages in it */
    struct address peer;
    /* The fields below stay valid while the slot is free. */
    uint32_t slot;
    struct conn *next;    /* in worker->dirty, worker->dead or worker->free_conns */
    uint32_t generation;  /* of the slot; never 0 */
    uint8_t state;        /* enum conn_state */
    bool taken : 1;       /* the slot is: a connection, dead or not, until conn_free_dead */
    bool dirty : 1;       /* in worker->dirty, or in worker->dead */
    bool blocked : 1;     /* the system refused output: wait until the socket is writable */
    bool was_refused : 1; /* the system refused output since the queue was last empty */
    bool paused : 1;      /* the script does not want to read now */
    bool input_full : 1;  /* enough input is held back: not read now */
    bool resuming : 1;    /* in worker->resume */
    bool secure : 1;
    bool peer_done : 1;  /* its Close came: by RFC 6455 §5.5.1 it sends nothing more */
    bool peer_ended : 1; /* end of input was read */
    bool shut_down : 1;  /* our side is ended */
    bool ping_sent : 1;  /* the idle ping is unanswered */
    bool excepted : 1;   /* published to others in this turn */
    bool admitted : 1;   /* counted by admission_admit */
};

/* Connections come in blocks, which stay where they are until the worker ends. Deadlines lie apart
 * from the connections, so that the sweep reads only these. */
enum { CONN_BLOCK = 64 };
struct conn_block {
    uint32_t deadlines[CONN_BLOCK]; /* in ticks; 0: none */
    struct conn conns[CONN_BLOCK];
};

/* Takes a free slot, all zero but for slot and generation. Returns 0 with *out, ERR_LIMIT or
 * ERR_MEMORY. */
int conn_slot_take(struct worker *w, struct conn **out) __attribute__((warn_unused_result));
/* The slot is free again, and the handles to it are stale. */
void conn_slot_give(struct worker *w, struct conn *c);
/* Frees the blocks, when all slots are free. */
void conn_slots_deinit(struct worker *w);

/* The connection in a slot below w->slot_cap; NULL when it is free. */
struct conn *conn_at(const struct worker *w, uint32_t slot);

/* A handle names a connection to the script: a whole number that a double holds, 20 bits of slot,
 * 25 of generation, 8 of worker; never 0. */
double conn_handle(const struct worker *w, const struct conn *c);
/* NULL: the handle is stale, another worker's, or none. */
struct conn *conn_get(const struct worker *w, double handle);

/* The deadline of a slot, taken or not, in ticks; 0: none. */
uint32_t *conn_deadline_at(const struct worker *w, uint32_t slot);
