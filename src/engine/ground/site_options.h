/* The named numbers of a site. Both functions return ERR_INVALID, with one line in s->error, for a
 * name that is unknown and for a value that is out of its bounds. */
#pragma once

#include "engine/ground/site.h"

/* A limit of the route, or of the whole app when route is negative. */
int site_set_limit(struct site *s, int route, const char *name, double value)
    __attribute__((warn_unused_result));
/* An option of the WebSocket route's compression, which this turns on. */
int site_set_compress(struct site *s, int route, const char *name, double value)
    __attribute__((warn_unused_result));

/* The name of the compression option number i; NULL past the last. */
const char *site_compress_name(unsigned i);
