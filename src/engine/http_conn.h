/* HTTP/1.1 on a connection: heads, bodies, keep-alive, pipelining, routing, answers, and the upgrade
 * to WebSocket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/conn.h"
#include "engine/event.h"
#include "protocol/handshake.h"
#include "protocol/http_body.h"
#include "protocol/http_head.h"
#include "protocol/http_response.h"
#include "protocol/router.h"

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

/* Bytes from the socket. The data is only borrowed. May kill or upgrade the connection. */
void http_conn_input(struct worker *w, struct conn *c, uint8_t *data, size_t len);
/* Go on with what was held back, after an answer. */
void http_conn_resume(struct worker *w, struct conn *c);
/* The peer ended its side. */
void http_conn_eof(struct worker *w, struct conn *c);
/* A deadline passed: 408 for a head or a body that does not come, else the end. */
void http_conn_expired(struct worker *w, struct conn *c);
/* The system took all output that was queued (CONN_HTTP only): the next pipelined request may be
 * read, an idle connection gives its session back, one whose last answer this was lingers. */
void http_conn_drained(struct worker *w, struct conn *c);

/* The script's answer. 0, ERR_CLOSED (stale), ERR_INVALID (bad status), ERR_MEMORY. */
int http_conn_respond(struct worker *w, struct conn *c, uint32_t serial, uint32_t status,
                      const char *headers, size_t headers_len, const char *body, size_t body_len);
/* The script accepts the upgrade: 101, then ws_conn_start. protocol NULL: what the route's list
 * gave; "": none. 0, ERR_CLOSED (stale), ERR_INVALID (a protocol that the client did not offer; the
 * upgrade still waits), ERR_MEMORY. */
int http_conn_accept(struct worker *w, struct conn *c, uint32_t serial, const char *protocol,
                     size_t protocol_len, const char *headers, size_t headers_len);

/* An answer that the server gives by itself, with why as its text. headers: more lines
 * "Name: value\r\n", or NULL. Where the rest of the input cannot be trusted to be the next request,
 * the connection ends after it. */
void http_conn_refuse(struct worker *w, struct conn *c, unsigned status, const char *why,
                      const char *headers);
/* No file has this path: 404, or 426 where the path is a WebSocket route too. For static_files.c. */
void http_conn_not_found(struct worker *w, struct conn *c, const char *why);
/* Queues a head with Date and Connection; the body follows in pieces. For static_files.c. 0, or
 * ERR_MEMORY: the connection is being closed. */
int http_conn_head(struct worker *w, struct conn *c, struct http_response *r);
/* The answer is whole: the next request may be read. */
void http_conn_answered(struct worker *w, struct conn *c);

void http_session_release(struct worker *w, struct conn *c);
/* Frees the sessions in the pool. */
void http_session_pool_deinit(struct worker *w);
