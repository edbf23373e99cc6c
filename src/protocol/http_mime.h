/* Content types of files by their names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Returns what follows the last dot of the path's last segment, in that path; or NULL. */
const char *http_mime_ending(const char *path);

/* True for a media type with or without parameters (RFC 9110 §8.3.1): "text/html; charset=utf-8".
 */
bool http_mime_valid(const char *type, size_t len);

/* "text/html; charset=utf-8" for "index.html", as a static text. The ending is compared without
 * case; an unknown one gives application/octet-stream. */
const char *http_mime_type(const char *path);
