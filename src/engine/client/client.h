/* A WebSocket that the script opens (RFC 6455 §4.1): the name, TCP and TLS; client_answer.h goes
 * on. Then it is a connection like those of the server, in the client's role. */
#pragma once

#include "engine/client/connect.h"
#include "engine/conn/conn.h"

/* The role of CONN_CONNECT. */
extern const struct conn_role client_connect_role;

/* Begins to open a WebSocket. Returns its handle: EVENT_OPEN follows, or EVENT_ERROR and
 * EVENT_CLOSE 1006. ERR_INVALID: the URL cannot be used, with *why, a static text; ERR_LIMIT
 * (slots), ERR_MEMORY. options are read during the call only. */
double client_connect(struct worker *w, const struct connect_options *options, const char **why);
