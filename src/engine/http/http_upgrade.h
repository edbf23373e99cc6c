/* From HTTP to WebSocket (RFC 6455 §4.2) on a connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/conn/conn.h"
#include "engine/http/http_session.h"

/* The header lines of a 426 (RFC 6455 §4.4, RFC 9110 §7.8, §15.5.22). */
extern const char http_upgrade_wanted[];

/* Upgrades for the request in c->http, which asks for it on a WebSocket route. True: the request is
 * valid, and the script is to be asked (http_upgrade_accept). False: the upgrade is done, and the
 * rest of *cur was taken as frames; or it was refused; or the connection was killed. */
bool http_upgrade_begin(struct worker *w, struct conn *c, struct http_cursor *cur);
/* Accepts the upgrade that waits for the script. `protocol` is the subprotocol to answer with,
 * which must be one that the client offered; empty for none; NULL for the first of the route's that
 * was offered, if any. `headers` are further lines "Name: value\r\n", headers_len bytes. 0;
 * ERR_INVALID: no upgrade waits, or the subprotocol was not offered; ERR_MEMORY: the connection was
 * killed. */
int http_upgrade_accept(struct worker *w, struct conn *c, const char *protocol, size_t protocol_len,
                        const char *headers, size_t headers_len)
    __attribute__((warn_unused_result));
