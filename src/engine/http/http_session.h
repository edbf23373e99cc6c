/* What a connection needs while it speaks HTTP: the request that is read or answered, and the input
 * that came behind it. An idle connection has none. */
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
    HTTP_HEAD_WANTED, /* reading a head */
    HTTP_BODY_WANTED, /* reading a body, or answering without the script */
    HTTP_ANSWERING,   /* the script has it (request or upgrade); input is held back */
    HTTP_ENDED        /* the last answer of this connection is queued; input is dropped */
};

/* Taken from the worker's pool when bytes of a request arrive, given back when its answer was taken
 * by the system and nothing is left over. */
struct http_session {
    struct http_session *next_free;
    struct buffer in;   /* the head, kept until the answer: spans are offsets from in.data */
    struct buffer body; /* of the request that is read or answered */
    struct buffer held; /* input that came behind it, */
    size_t held_at;     /* used up to here */
    struct http_head_parser parser;
    struct http_head head;
    struct http_body body_reader;
    struct router_match match;  /* params are offsets from in.data too */
    struct handshake handshake; /* while an upgrade waits for the script */
    struct request view;        /* for the script, made when it asks */
    size_t unsent;              /* output that waited when the deadline was set */
    uint32_t serial;            /* names this request of the connection; never 0 */
    uint8_t state;              /* enum http_state */
    bool have_head;             /* head is whole: this request's */
    bool body_unread;           /* it has a body that was not read to its end */
    bool upgrading;
    bool close; /* no keep-alive after this answer */
};

/* Input that is being used up: borrowed bytes of the socket, or those that were held back. */
struct http_cursor {
    const char *data;
    size_t len;
};

/* The connection's session, a fresh one where it has none. NULL: out of memory. */
struct http_session *http_session_get(struct worker *w, struct conn *c);
/* Back to the pool; the connection may have none. */
void http_session_release(struct worker *w, struct conn *c);
/* Frees the sessions in the pool. */
void http_session_pool_deinit(struct worker *w);
/* Empties a buffer, and frees it when it is large. */
void http_session_trim(struct buffer *b);

/* Does the connection still speak HTTP? Anything that queues output may have killed it. */
bool http_session_live(const struct conn *c);
/* Bytes held back, and those bytes. */
size_t http_session_held(const struct http_session *s);
struct http_cursor http_session_input(const struct http_session *s);
/* Keeps input for later. What comes beyond the size of a head is left to TCP: the connection is not
 * read until http_session_read_on. Kills the connection when out of memory. */
void http_session_hold_back(struct worker *w, struct conn *c, const void *data, size_t len);
/* Input is wanted again. */
void http_session_read_on(struct worker *w, struct conn *c);
