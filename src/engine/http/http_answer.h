/* Answers on a connection: heads, refusals, and what follows an answer: the next request or the end
 * of the connection. All of it may kill the connection (http_session_live). */
#pragma once

#include <stddef.h>

#include "engine/conn/conn.h"
#include "engine/http/http_session.h"
#include "protocol/http_response.h"

/* Queues a head with Date and Connection; the body follows in pieces. While it is queued, the
 * session's state must not be HTTP_HEAD_WANTED. 0, or ERR_MEMORY: the connection is being closed. */
int http_answer_head(struct worker *w, struct conn *c, struct http_response *r);
/* Queues a copy. 0 or ERR_MEMORY, as above. */
int http_answer_queue(struct worker *w, struct conn *c, const void *data, size_t len);
/* Queues what is in w->scratch, and empties it. */
int http_answer_scratch(struct worker *w, struct conn *c);
/* The answer is whole, and counts as one: the next request may be read, unless c->http->close. */
void http_answer_done(struct worker *w, struct conn *c);
/* The same, where something else was counted. */
void http_answer_end(struct worker *w, struct conn *c);
/* No further request of this connection is read: it lingers when the output is taken. What the peer
 * still sends is read and dropped. */
void http_answer_last(struct worker *w, struct conn *c);

/* A whole answer that the server gives by itself, with why as its text. headers: more lines
 * "Name: value\r\n", or NULL. Where the rest of the input cannot be trusted to be the next request,
 * the connection ends after it. */
void http_answer_refuse(struct worker *w, struct conn *c, unsigned status, const char *why,
                        const char *headers);

/* The system took all output (http_conn_drained). */
void http_answer_taken(struct worker *w, struct conn *c);
/* The time for an answer to be taken is over: the peer is given up, unless it took enough of it
 * since the last look. */
void http_answer_expired(struct worker *w, struct conn *c);
