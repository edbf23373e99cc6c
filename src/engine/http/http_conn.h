/* HTTP/1.1 on a connection: heads, bodies, keep-alive, pipelining, routing, answers, and the upgrade
 * to WebSocket. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/conn.h"
#include "engine/http/http_session.h"

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
