/* The host of a WebSocket's URL (WHATWG URL Standard, host parser and host serializer). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/* Appends the host at text[0..len), as a URL shows it, to *out: a name in lower case, beyond ASCII
 * as A-labels by UTS #46, non-transitional (base/idna.h); an IPv4 address in decimal; or an IPv6
 * address in brackets. *is_address tells an address from a name. Returns 0, ERR_MEMORY, or
 * ERR_INVALID with *why, a static text for people: the text is not UTF-8, no such host may be, or
 * libidn2 is missing, which a name beyond ASCII needs. After a failure *out may hold more than
 * before. */
int ws_host_append(struct buffer *out, const char *text, size_t len, bool *is_address,
                   const char **why) __attribute__((warn_unused_result));
