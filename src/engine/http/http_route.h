/* Which route answers a request on a connection, and the answers where there is none. */
#pragma once

#include <stdbool.h>

#include "engine/conn/conn.h"

/* Fills c->http->match for the head. False: there is no route for it, and it was answered (404, 405,
 * 426, 501, or 204 to OPTIONS). */
bool http_route_find(struct worker *w, struct conn *c);
/* A folder has no such file: 404, or 426 where the path is a WebSocket route too. */
void http_route_not_found(struct worker *w, struct conn *c, const char *why);
