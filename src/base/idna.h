/* Names of hosts beyond ASCII. libidn2 is loaded when the first one comes: with libunistring it
 * takes 0.2 MB, which few need. */
#pragma once

#include "base/buffer.h"

/* Appends the A-labels of a name (UTF-8, with a NUL at its end) to out, by UTS #46,
 * non-transitional and not strict. Returns 0, ERR_INVALID for a name that UTS #46 does not allow,
 * ERR_NOT_FOUND when there is no libidn2, or ERR_MEMORY. The first call may take a millisecond. */
int idna_to_ascii(struct buffer *out, const char *name) __attribute__((warn_unused_result));
