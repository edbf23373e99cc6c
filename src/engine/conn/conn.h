/* The life of a connection: readiness, output, the end. It speaks through its role. */
#pragma once

#include "engine/conn/conn_role.h"
#include "engine/conn/conn_slots.h"
#include "engine/ground/event.h"
#include "engine/worker/worker.h"

/* The roles that belong to no protocol: a connection on which nothing more is said; a dead one. */
extern const struct conn_role conn_linger_role;
extern const struct conn_role conn_dead_role;

static inline const struct conn_role *conn_role(const struct worker *w, const struct conn *c)
{
    return w->roles[c->state];
}

/* A connection of a peer that admission_admit has counted; its end releases the peer. Takes over
 * the socket and the TLS session (NULL: plain). proxied: a proxy says first who the peer is, whose
 * address is unknown until then. 0, ERR_LIMIT or ERR_MEMORY: they are then closed, and the peer is
 * released. */
int conn_open(struct worker *w, int fd, const struct address *peer, struct tls_session *tls,
              bool proxied) __attribute__((warn_unused_result));
/* The peer is known: goes on with TLS or HTTP. */
void conn_begin(struct worker *w, struct conn *c);

/* A connection without a socket, in CONN_CONNECT: the caller makes it a client's at once. 0 with
 * *out, ERR_LIMIT or ERR_MEMORY. It is not counted by admission_admit. */
int conn_new(struct worker *w, struct conn **out) __attribute__((warn_unused_result));
/* Gives it a socket, which it owns from now on; conn_watch begins to watch it. */
void conn_attach(struct conn *c, int fd);

/* Returns a fresh event of a WebSocket at the end of the worker's batch; NULL when out of memory.
 */
struct event *conn_event(struct worker *w, const struct conn *c, enum event_kind kind);

/* Puts the connection on the list of those that are flushed before the loop sleeps. */
void conn_dirty(struct worker *w, struct conn *c);
/* Returns room for len bytes of output, to be filled before anything else is called, and marks the
 * connection dirty. frames: they are whole WebSocket frames. NULL: it is dead, maybe since now. */
uint8_t *conn_reserve(struct worker *w, struct conn *c, size_t len, bool frames);
/* Hands queued output to the system. The connection may be dead after it. */
void conn_flush(struct worker *w, struct conn *c);
/* Must follow any flush of c->out: status is what that returned. */
void conn_flushed(struct worker *w, struct conn *c, int status);
/* Flushes all dirty connections: the write arena is full, or the turn ends. Leaves the arena
 * empty. */
void conn_flush_all(struct worker *w);

/* Watches the socket for input and output as the state asks. */
void conn_watch(struct worker *w, struct conn *c);
/* Reads on: what TLS has read ahead makes no socket readable. */
void conn_read_on(struct worker *w, struct conn *c);
/* Returns the limits of an open WebSocket: its route's, or a client's own. */
const struct limits *conn_limits(const struct worker *w, const struct conn *c);
/* The connection expires in this many seconds (role->expired); 0: never. */
void conn_deadline(struct worker *w, struct conn *c, uint32_t seconds);
/* Expires in a time that may be a fraction of a second, more than 0. */
void conn_deadline_in(struct worker *w, struct conn *c, double seconds);
/* Its deadline has passed; called by the sweep. */
void conn_expired(struct worker *w, struct conn *c);

/* Nothing more is said: flushes what is queued, ends our side, waits for the peer's end. */
void conn_linger(struct worker *w, struct conn *c);
/* Closes the socket now; queued output is lost, and counted. Emits EVENT_CLOSE 1006 or EVENT_ABORT
 * where the script still knows the connection. It is freed at the end of the turn. */
void conn_kill(struct worker *w, struct conn *c);
/* TLS has failed, and an alert has said so: as conn_kill, but the socket is read on to the peer's
 * end (or for close_seconds), for the system resets a connection that is closed with unread bytes,
 * and the peer would lose the alert. */
void conn_lose_tls(struct worker *w, struct conn *c);

/* role->resume is called at the end of this turn. Kills the connection when out of memory. */
void conn_resume_later(struct worker *w, struct conn *c);
/* The script stops reading, or reads on. */
void conn_pause(struct worker *w, struct conn *c, bool paused);
