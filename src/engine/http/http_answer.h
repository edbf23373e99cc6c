/* Answers on a connection: heads, refusals, and what follows an answer, which is the next request
 * or the end of the connection. Each function here may kill the connection: see
 * http_session_live. */
#pragma once

#include <stddef.h>

#include "engine/conn/conn.h"
#include "engine/http/http_session.h"
#include "protocol/http_response.h"

/* Queues a head, to which it adds Date and Connection; the caller queues the body. While the head
 * is queued, the session's state must not be HTTP_HEAD_WANTED. 0, or ERR_MEMORY: the connection was
 * killed. */
int http_answer_head(struct worker *w, struct conn *c, struct http_response *r)
    __attribute__((warn_unused_result));
/* Queues a copy of data. 0, or ERR_MEMORY: the connection was killed. */
int http_answer_queue(struct worker *w, struct conn *c, const void *data, size_t len)
    __attribute__((warn_unused_result));
/* Queues what is in w->scratch, and empties that. Results as of http_answer_queue. */
int http_answer_scratch(struct worker *w, struct conn *c) __attribute__((warn_unused_result));
/* Ends an answer that is queued whole, and counts it as a request: the next one may be read, unless
 * c->http->close is set. */
void http_answer_done(struct worker *w, struct conn *c);
/* Ends an answer without counting it, for callers that have counted something else. */
void http_answer_end(struct worker *w, struct conn *c);
/* Makes the answer that is queued the connection's last: the connection lingers when the system has
 * taken it. What the peer still sends is read and dropped. */
void http_answer_last(struct worker *w, struct conn *c);

/* Gives a whole answer in the server's own name, with `why` and a newline as its text. `headers`
 * are further lines "Name: value\r\n", or NULL. The connection ends after it where the rest of the
 * input cannot be trusted to be the next request. */
void http_answer_refuse(struct worker *w, struct conn *c, unsigned status, const char *why,
                        const char *headers);

/* Goes on when the system has taken all output: to the next request, to an idle connection without
 * a session, or to its end. */
void http_answer_taken(struct worker *w, struct conn *c);
/* Called when the time is over in which an answer should be taken. Kills the connection, unless the
 * peer has taken enough of it in that time. */
void http_answer_expired(struct worker *w, struct conn *c);
