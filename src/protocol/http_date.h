/* Dates in header fields (RFC 9110 §5.6.7). No locale, no time zone, no system call. */
#pragma once

#include <stddef.h>
#include <time.h>

/* Writes an IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT"): 29 characters and a NUL. The year is
 * 1..9999. */
void http_date_format(char out[30], time_t t);

/* Reads any of the three forms that a recipient must take; -1 for every other text. A year of two
 * digits (RFC 850) is 1970..2069. */
time_t http_date_parse(const char *text, size_t len);
