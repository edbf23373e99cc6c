/* Entity tags (RFC 9110 §8.8.3, §13.1.2). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True when the value of If-None-Match lists the tag, or is "*". The comparison is weak: W/ makes
 * no difference on either side. A member that is not an entity tag ends the list. etag has its
 * quotes. */
bool http_etag_match(const char *value, size_t len, const char *etag);
