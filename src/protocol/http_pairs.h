/* Takes apart what clients send as lists of names and values: cookies, queries, comma lists. What
 * comes here has passed no check but the length of a head, so that each byte is looked at a fixed
 * number of times, whatever stands beside it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/http_parts.h"

/* Finds the next pair of text[0..len), from *at on, which advances (0 at first). Returns false at
 * the end. Quotes and blanks around a value are left out; nothing is decoded. What is no pair is
 * skipped. */
bool http_pairs_next(enum http_pairs kind, const char *text, uint32_t len, uint32_t *at,
                     struct http_pair *out) __attribute__((warn_unused_result));
