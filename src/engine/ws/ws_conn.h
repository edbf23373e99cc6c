/* The role of an open WebSocket (RFC 6455), as server and as client: from bytes to messages to
 * events, the closing handshake, pings. */
#pragma once

#include "engine/conn/conn.h"
#include "protocol/extension.h"
#include "protocol/http_head.h"

/* The role of CONN_OPEN and CONN_CLOSING. */
extern const struct conn_role ws_conn_role;

/* The result of an opening handshake. All of it is copied. */
struct ws_opening {
    uint32_t route;
    const char *protocol; /* or NULL */
    const struct deflate_params *deflate;
    const char *authority; /* of the url: "host:1" */
    size_t authority_len;
    const char *path;
    size_t path_len;
    const char *query; /* with its "?" */
    size_t query_len;
    const struct http_head *head; /* the peer's: fields of it are stored */
    const char *base;             /* where the spans of head begin */
};

/* The 101 is queued, or came: the connection speaks WebSocket from here, as a client when
 * c->client is set. Emits EVENT_OPEN. 0, or ERR_MEMORY: the connection is dead. */
int ws_conn_start(struct worker *w, struct conn *c, const struct ws_opening *opening)
    __attribute__((warn_unused_result));
/* The peer has ended its side without a Close: EVENT_CLOSE 1006, and the end. */
void ws_conn_eof(struct worker *w, struct conn *c);
/* The script has had what came before the peer's Close: answers it, if that was put off. */
void ws_conn_resume(struct worker *w, struct conn *c);

/* Sends a message; a text is UTF-8, the caller has checked it. 0; 1: queued, but the system refuses
 * output, and EVENT_DRAIN tells when it has taken all; ERR_CLOSED: it is not open; ERR_LIMIT: over
 * queued_bytes, it is being closed with 1008; ERR_MEMORY. */
int ws_conn_send(struct worker *w, struct conn *c, const uint8_t *data, size_t len, bool binary)
    __attribute__((warn_unused_result));
/* Begins the closing handshake (§7.1.2), behind everything that was sent or published before.
 * reason: UTF-8 of at most 123 bytes. 0, or ERR_CLOSED: it is not open. */
int ws_conn_close(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
    __attribute__((warn_unused_result));
/* Closes it with 1012: its route is not served any more. */
void ws_conn_close_gone(struct worker *w, struct conn *c);
/* The script keeps messages of so many bytes behind a hook that waits. */
void ws_conn_note_inbox(struct worker *w, struct conn *c, uint32_t bytes);
/* Sends a Ping (§5.5.2). 0, ERR_CLOSED, ERR_TOO_BIG (over 125 bytes) or ERR_MEMORY. */
int ws_conn_ping(struct worker *w, struct conn *c, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
