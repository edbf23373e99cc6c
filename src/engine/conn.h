/* A connection: one socket, first speaking HTTP, then maybe WebSocket. This file is its life: slots
 * and handles, readiness, deadlines, output, the end. What is spoken lives in http_conn.c and
 * ws_conn.c. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/event.h"
#include "engine/outbound.h"
#include "engine/site.h"
#include "protocol/message.h"
#include "transport/tcp.h"
#include "transport/transport.h"

struct worker;
struct client;
struct http_session;
struct ws_kept;
struct ws_deflate;
struct subscription;

enum conn_state {
    CONN_CONNECT,   /* opened by the script: name, TCP, TLS (client.c) */
    CONN_HANDSHAKE, /* TLS of a peer's */
    CONN_HTTP,
    CONN_ANSWER,  /* opened by the script: the request is on its way (client.c) */
    CONN_OPEN,    /* WebSocket: both directions */
    CONN_CLOSING, /* WebSocket: our Close is queued, the peer's has not come */
    CONN_LINGER,  /* nothing more is said: flush, end our side, wait for the peer's end */
    CONN_DEAD     /* closed; freed at the end of the turn */
};

/* Packed by hand: 10,000 that are idle are 10,000 of these and little else. */
struct conn {
    ev_io io; /* its data: struct ws_farewell, see ws_conn.c */
    struct transport transport;
    struct outbound out;
    struct message_reader reader;
    struct http_session *http;          /* while a request is read or answered */
    struct client *client;              /* opened by the script: we are the client; else NULL */
    const struct ws_kept *kept;         /* what ws.headers and its like read */
    struct ws_deflate *deflate;         /* permessage-deflate, when agreed */
    struct subscription *subscriptions; /* subscription_count of them */
    uint32_t subscription_count;
    uint32_t route; /* of the open WebSocket */
    union {
        uint32_t request_serial; /* of the last HTTP request */
        uint32_t rate_second;    /* of a WebSocket, for messages_per_second: the second, and */
    };
    uint32_t rate_count; /* the messages in it */
    struct address peer;
    /* From here on what a free slot has too. */
    uint32_t slot;
    struct conn *next;    /* in worker->dirty, worker->dead or worker->free_conns */
    uint32_t generation;  /* of the slot; never 0 */
    uint8_t state;        /* enum conn_state */
    bool taken : 1;       /* the slot is: a connection, dead or not, until conn_free */
    bool dirty : 1;       /* in worker->dirty, or in worker->dead */
    bool blocked : 1;     /* the system refused output: wait until the socket is writable */
    bool drain_event : 1; /* tell on_drain when the queue is empty */
    bool paused : 1;      /* the script does not want to read now */
    bool http_full : 1;   /* enough pipelined bytes are held back: not read now */
    bool resuming : 1;    /* in worker->resume */
    bool secure : 1;
    bool peer_done : 1;  /* its Close came: by RFC 6455 §5.5.1 it sends nothing more */
    bool peer_ended : 1; /* end of input was read */
    bool shut_down : 1;  /* our side is ended */
    bool ping_sent : 1;  /* the idle ping is unanswered */
    bool excepted : 1;   /* published to others in this turn */
    bool admitted : 1;   /* counted by server_admit */
};

/* Connections come in blocks, which stay where they are until the worker ends. Deadlines lie apart
 * from the connections, so that the sweep reads only these. */
enum { CONN_BLOCK = 64 };
struct conn_block {
    uint32_t deadlines[CONN_BLOCK]; /* in ticks; 0: none */
    struct conn conns[CONN_BLOCK];
};

/* The connection in a slot below w->slot_cap; NULL when it is free. */
struct conn *conn_at(const struct worker *w, uint32_t slot);
/* Its deadline; taken or not. */
uint32_t *conn_deadline_at(const struct worker *w, uint32_t slot);
/* Frees the blocks: all connections are freed. */
void conn_blocks_deinit(struct worker *w);

/* Takes over the socket and the TLS session. 0, or a negative error (they are then closed). The peer
 * was admitted (server_admit); the connection's end releases it. */
int conn_open(struct worker *w, int fd, const struct address *peer, struct tls_session *tls);

/* A connection without a socket, in CONN_CONNECT: the caller makes it a client's at once. 0 with *out,
 * ERR_LIMIT or ERR_MEMORY. It is not counted by server_admit. */
int conn_new(struct worker *w, struct conn **out) __attribute__((warn_unused_result));
/* Its socket, which it owns from now on. conn_watch begins to watch it. */
void conn_attach(struct worker *w, struct conn *c, int fd);

/* Handles (script/api.h). */
double conn_handle(const struct worker *w, const struct conn *c);
struct conn *conn_get(const struct worker *w, double handle); /* NULL: stale */

/* A fresh event of a WebSocket, at the end of the worker's batch; NULL when out of memory. */
struct event *conn_event(struct worker *w, const struct conn *c, enum event_kind kind);

/* Puts the connection on the list of those that are flushed before the loop sleeps. */
void conn_dirty(struct worker *w, struct conn *c);
/* Room for len bytes of output, to be filled before anything else is called; marks it dirty. NULL:
 * the connection is dead, maybe since now. */
uint8_t *conn_reserve(struct worker *w, struct conn *c, size_t len, bool frames);
/* Hands queued output to the system. The connection may be dead after it. */
void conn_flush(struct worker *w, struct conn *c);
/* What follows any flush of c->out: status is what it returned. */
void conn_flushed(struct worker *w, struct conn *c, int status);

/* Watches for input and output as the state asks. */
void conn_watch(struct worker *w, struct conn *c);
/* After so many seconds the connection expires, as its state says; 0: never. */
void conn_deadline(struct worker *w, struct conn *c, uint32_t seconds);
/* The same for fractions of a second, more than 0. */
void conn_deadline_in(struct worker *w, struct conn *c, double seconds);
/* Of a WebSocket that is open: its route's limits, or a client's own. */
const struct limits *conn_limits(const struct worker *w, const struct conn *c);
/* Called by the worker's sweep. */
void conn_expired(struct worker *w, struct conn *c);

/* Nothing more is said: flush what is queued, end our side, wait for the peer's end, free. */
void conn_linger(struct worker *w, struct conn *c);
/* Closes the socket now; queued output is lost. Emits EVENT_CLOSE 1006 or EVENT_ABORT where the
 * script still knows the connection. Freed at the end of the turn. */
void conn_kill(struct worker *w, struct conn *c);
/* Frees a dead one: the worker, at the end of the turn. */
void conn_free(struct worker *w, struct conn *c);
/* http_conn_resume or ws_conn_resume at the end of this turn. */
void conn_resume_later(struct worker *w, struct conn *c);
/* The script reads on, or not. */
void conn_pause(struct worker *w, struct conn *c, bool paused);
