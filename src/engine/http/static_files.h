/* mw.static: files of a folder (RFC 9110 §8.8, §13, §14). */
#pragma once

#include <stddef.h>

#include "engine/conn/conn.h"

/* Answers the request in c->http from the folder (an O_PATH descriptor); rest is the path below the
 * prefix, still encoded. Files are opened with openat2 RESOLVE_BENEATH, so neither ".." nor links
 * lead out. */
void static_files_serve(struct worker *w, struct conn *c, int folder, const char *rest, size_t len);
