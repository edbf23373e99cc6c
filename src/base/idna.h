/* Names of hosts beyond ASCII, by libidn2. It is loaded when the first one comes: with libunistring it
 * is 0.2 MB that few need. */
#pragma once

#include "base/buffer.h"

/* Appends the A-labels of a name (UTF-8, with a NUL at its end) to out: UTS #46, non-transitional, not
 * strict. 0; ERR_INVALID: it allows no such name; ERR_MEMORY; ERR_NOT_FOUND: there is no libidn2. The
 * first call may take a millisecond. */
int idna_to_ascii(struct buffer *out, const char *name) __attribute__((warn_unused_result));
