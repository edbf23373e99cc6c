/* The opening handshake as a client (RFC 6455 §4.1): the request, and the answer that is waited
 * for. */
#pragma once

#include "engine/conn/conn.h"

enum { CLIENT_ROUTE = 0xffffffff }; /* conn.route: none */

/* The role of CONN_ANSWER. */
extern const struct conn_role client_answer_role;

/* TCP and TLS are there: sends the request. */
void client_answer_begin(struct worker *w, struct conn *c);
