/* Serves the files of a folder, with validators, conditions and ranges (RFC 9110 §8.8, §13,
 * §14). */
#pragma once

#include <stddef.h>

#include "engine/conn/conn.h"
#include "engine/ground/site.h"

/* Answers the request in c->http from the folder of this route, a SITE_STATIC. rest[0..len) is the
 * path below the route's prefix, still encoded. Files are opened with openat2 and
 * RESOLVE_BENEATH, so that neither ".." nor links lead out of the folder. Hidden files, and those
 * whose ending says that they are code, keys or databases, are not found. May kill the
 * connection. */
void static_files_serve(struct worker *w, struct conn *c, const struct site_route *route,
                        const char *rest, size_t len);
