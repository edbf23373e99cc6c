/* A WebSocket that the script opens (RFC 6455 §4.1): the name, TCP, TLS, the request and its answer.
 * Then it is a connection like those of the server, in the client's role. */
#pragma once

#include "engine/client/connect.h"
#include "engine/conn/conn.h"

enum { CLIENT_ROUTE = 0xffffffff }; /* conn.route: none */

/* The roles of CONN_CONNECT and CONN_ANSWER. */
extern const struct conn_role client_connect_role;
extern const struct conn_role client_answer_role;

/* Begins to open a WebSocket. Returns its handle: EVENT_OPEN follows, or EVENT_ERROR and EVENT_CLOSE
 * 1006. ERR_INVALID: the URL cannot be used, with *why, a static text; ERR_LIMIT (slots), ERR_MEMORY.
 * options are read during the call only. */
double client_connect(struct worker *w, const struct mw_connect *options, const char **why);
/* In both roles: it fails, with a text for people. EVENT_ERROR, EVENT_CLOSE 1006, the end. */
void client_fail(struct worker *w, struct conn *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line in the log about a failure; the caller knows whether the script heard of it. */
void client_log_failure(struct worker *w, const struct conn *c, enum log_level level,
                        const char *text, size_t len);
