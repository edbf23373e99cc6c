/* HTTP/1.1 on a connection: heads, bodies, keep-alive, pipelining, routing, answers, and the
 * upgrade to WebSocket. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/conn/conn.h"
#include "engine/http/http_session.h"

/* The role of CONN_HTTP. */
extern const struct conn_role http_conn_role;

/* Returns the session if it waits for the script's answer to this request, else NULL. */
struct http_session *http_conn_waiting(const struct conn *c, uint32_t serial);
/* The script's answer. 0, ERR_CLOSED (stale), ERR_INVALID (bad status), ERR_MEMORY. */
int http_conn_respond(struct worker *w, struct conn *c, uint32_t serial, uint32_t status,
                      const char *headers, size_t headers_len, const char *body, size_t body_len)
    __attribute__((warn_unused_result));
/* The script accepts the upgrade: 101, then ws_conn_start. protocol NULL: what the route's list
 * gave; "": none. 0, ERR_CLOSED (stale), ERR_INVALID (a protocol that the client did not offer; the
 * upgrade still waits), ERR_MEMORY. */
int http_conn_accept(struct worker *w, struct conn *c, uint32_t serial, const char *protocol,
                     size_t protocol_len, const char *headers, size_t headers_len)
    __attribute__((warn_unused_result));
