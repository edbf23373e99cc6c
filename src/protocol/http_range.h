/* Range requests (RFC 9110 §14). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One Range: bytes=… on size bytes. Returns 1 with *first, *last (inclusive, inside the size); 0 to
 * ignore it (not bytes, several ranges, bad syntax); ERR_INVALID when it cannot be satisfied (416). */
int http_range_parse(const char *value, size_t len, uint64_t size, uint64_t *first, uint64_t *last);
