/* Finds the route that answers a request, and gives the answers where there is none. */
#pragma once

#include <stdbool.h>

#include "engine/conn/conn.h"

/* Fills c->http->match for the head of the request. False when no route takes it: it was then
 * answered (404, 405, 426, 501, or 204 to OPTIONS), which may have killed the connection. */
bool http_route_find(struct worker *w, struct conn *c);
/* Answers a request for a file that its folder does not have: 404 with the text `why`, or 426 where
 * the path is a WebSocket route too. */
void http_route_not_found(struct worker *w, struct conn *c, const char *why);
