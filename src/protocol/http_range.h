/* Range requests (RFC 9110 §14). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Reads the value of Range for a content of `size` bytes. Returns 1 with one range *first..*last,
 * both of which are inside the content; 0 to ignore the field (not bytes, several ranges, bad
 * syntax); or ERR_INVALID when the range cannot be satisfied (416). */
int http_range_parse(const char *value, size_t len, uint64_t size, uint64_t *first, uint64_t *last)
    __attribute__((warn_unused_result));
