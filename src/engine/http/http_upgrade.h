/* From HTTP to WebSocket (RFC 6455 §4.2) on a connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/conn/conn.h"
#include "engine/http/http_session.h"

/* Headers of a 426 (RFC 6455 §4.4, RFC 9110 §7.8, §15.5.22). */
extern const char http_upgrade_wanted[];

/* The request in c->http asks for an upgrade on a WebSocket route. True: it is valid and the script
 * wants to be asked. Otherwise it was done, with what is left in *cur taken as frames, or refused. */
bool http_upgrade_begin(struct worker *w, struct conn *c, struct http_cursor *cur);
/* The script accepts the upgrade that waits, as http_conn_accept. */
int http_upgrade_accept(struct worker *w, struct conn *c, const char *protocol, size_t protocol_len,
                        const char *headers, size_t headers_len);
