/* Entity tags (RFC 9110 §8.8.3, §13.1.2). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Does If-None-Match's value list the tag? Weak comparison: W/ makes no difference on either side;
 * "*" is true. A member that is not an entity tag ends the list. etag: with its quotes. */
bool http_etag_match(const char *value, size_t len, const char *etag);
