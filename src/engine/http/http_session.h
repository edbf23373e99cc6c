/* The session of a connection that speaks HTTP: the request that is read or answered, and the input
 * that came behind it. An idle connection has no session. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/ground/event.h"
#include "protocol/handshake.h"
#include "protocol/http_body.h"
#include "protocol/http_head.h"
#include "protocol/router.h"

struct worker;
struct conn;

enum http_state {
    HTTP_HEAD_WANTED, /* a head is read */
    HTTP_BODY_WANTED, /* a body is read, or the server answers by itself */
    HTTP_ANSWERING,   /* the script has the request or upgrade; input is held back */
    HTTP_ENDED        /* the connection's last answer is queued; input is dropped */
};

/* Comes from the worker's pool when bytes of a request arrive, and goes back when the system has
 * taken the answer and no input is left over. */
struct http_session {
    struct http_session *next_free;
    struct buffer in;   /* the head, until it is answered; spans are offsets from in.data */
    struct buffer body; /* of the request that is read or answered */
    struct buffer held; /* input that came behind the request */
    size_t held_at;     /* bytes of it that are used up */
    struct http_head_parser parser;
    struct http_head head;
    struct http_body body_reader;
    struct router_match match;  /* params are offsets from in.data too */
    struct handshake handshake; /* while an upgrade waits for the script */
    struct request view;        /* of the request, made when the script asks for it */
    size_t unsent;              /* bytes of output that waited when the deadline was set */
    uint32_t serial;            /* names the request among the connection's; never 0 */
    uint8_t state;              /* enum http_state */
    bool have_head;             /* head is whole, and this request's */
    bool body_unread;           /* the request has a body that was not read to its end */
    bool upgrading;             /* an upgrade waits for the script */
    bool close;                 /* the connection ends after this answer */
};

/* Input that is being used up: borrowed bytes of the socket, or bytes that were held back. */
struct http_cursor {
    const char *data;
    size_t len;
};

/* The connection's session, a fresh one where it has none. NULL when out of memory. */
struct http_session *http_session_get(struct worker *w, struct conn *c);
/* Gives the session back to the pool. The connection may have none. */
void http_session_release(struct worker *w, struct conn *c);
/* Frees the sessions in the pool. */
void http_session_pool_deinit(struct worker *w);
/* Empties a buffer, and frees it when it is large. */
void http_session_trim(struct buffer *b);

/* Does the connection still speak HTTP? Anything that queues output may have killed it. */
bool http_session_live(const struct conn *c);
/* The bytes of memory that its session holds; 0: it has none. */
size_t http_session_memory(const struct conn *c);
/* The number of bytes that are held back, and these bytes, which the session owns. */
size_t http_session_held(const struct http_session *s);
struct http_cursor http_session_input(const struct http_session *s);
/* Holds a copy of input back for later. When this is as much as a head may be, the rest is left to
 * TCP: the connection is not read until http_session_read_on. Kills the connection when out of
 * memory. */
void http_session_hold_back(struct worker *w, struct conn *c, const void *data, size_t len);
/* Reads the connection again. */
void http_session_read_on(struct worker *w, struct conn *c);
