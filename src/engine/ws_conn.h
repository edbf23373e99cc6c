/* WebSocket on a connection (RFC 6455), in both roles: from messages to events, from calls to frames,
 * the closing handshake, pings. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/conn.h"
#include "protocol/deflate.h"
#include "protocol/extension.h"
#include "protocol/http_head.h"

/* permessage-deflate of one connection. */
struct ws_deflate {
    struct deflate_params params;
    struct deflater *deflater; /* made at the first message that is compressed */
    uint8_t level;             /* what it was made with */
    uint8_t memory_level;
    bool fresh; /* what the peer's window holds is not ours: begin an empty one */
};

/* The peer's Close, which is answered when the script has had the messages before it. */
struct ws_farewell {
    uint16_t code;
    uint8_t len;
    char reason[];
};

/* What an opening handshake gave; everything is copied. */
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
    const struct http_head *head; /* the other side's: fields of it are kept */
    const char *base;             /* where the spans of head begin */
};

/* The 101 is queued, or came: the connection speaks WebSocket from here, as a client when c->client is
 * set. Emits EVENT_OPEN. 0, or ERR_MEMORY: the connection is dead. */
int ws_conn_start(struct worker *w, struct conn *c, const struct ws_opening *opening);
/* Bytes from the socket; unmasked in place; they must stay until the batch is done. */
void ws_conn_input(struct worker *w, struct conn *c, uint8_t *data, size_t len);
/* The peer has ended its side without a Close: EVENT_CLOSE 1006, and the end. */
void ws_conn_eof(struct worker *w, struct conn *c);
/* The script has had what came in this turn: answers a Close that waits for it. */
void ws_conn_resume(struct worker *w, struct conn *c);
void ws_conn_expired(struct worker *w, struct conn *c);
/* conn_kill tells: the socket is gone without a closing handshake. Emits EVENT_CLOSE 1006. */
void ws_conn_lost(struct worker *w, struct conn *c);

/* As mw_send (a text is UTF-8), mw_close, mw_ping of script/api.h. */
int ws_conn_send(struct worker *w, struct conn *c, const uint8_t *data, size_t len, bool binary);
int ws_conn_close(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len);
int ws_conn_ping(struct worker *w, struct conn *c, const uint8_t *data, size_t len);
/* The connection broke a rule of the protocol or a limit, which why says (static text): EVENT_ERROR,
 * a Close with the code, EVENT_CLOSE, the end. */
void ws_conn_fail(struct worker *w, struct conn *c, uint16_t code, const char *why);
/* Frames of a server, whole and unmasked, masked for the server that c is connected to, go to its
 * queue: what topics share. payload: their bytes before compression. 0, ERR_CLOSED or ERR_PROTOCOL. */
int ws_conn_masked(struct worker *w, struct conn *c, const uint8_t *frames, size_t len,
                   size_t payload);
/* The window that the other side inflates what we compress with, in bits. */
uint8_t ws_conn_window_bits(const struct conn *c);
/* How messages to it are compressed, where that was agreed. */
const struct deflate_options *ws_conn_deflate(const struct worker *w, const struct conn *c);
/* Frees what only a WebSocket owns. */
void ws_conn_deinit(struct worker *w, struct conn *c);
