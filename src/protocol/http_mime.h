/* Content types of files by their names. */
#pragma once

/* "text/html; charset=utf-8" for "index.html"; the ending is compared without case;
 * application/octet-stream when it is unknown. Static text. */
const char *http_mime_type(const char *path);
