/* Content types of files by their names. */
#pragma once

/* "text/html; charset=utf-8" for "index.html", as a static text. The ending is compared without
 * case; an unknown one gives application/octet-stream. */
const char *http_mime_type(const char *path);
