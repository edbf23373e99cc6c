/* Origins (RFC 6454): whose page opens a WebSocket, and whose may. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/url.h"

struct origin {
    bool https;                     /* or wss */
    struct url_authority authority; /* points into the text */
    uint16_t port;                  /* the scheme's own where the text names none */
};

/* Takes "scheme://host[:port]" apart, of the schemes http, https, ws and wss in any case of
 * letters. Returns 0, or ERR_INVALID: another scheme, or something else around the authority. */
int origin_read(struct origin *out, const char *text, size_t len)
    __attribute__((warn_unused_result));

/* The same scheme, host and port? Hosts are compared in any case of letters, ws is http. */
bool origin_same(const struct origin *a, const struct origin *b);

/* ---- rules: what an app may list ----
 * "*" allows any origin. With "*.example.com" as its host a rule allows the hosts that have exactly
 * one label where the "*" stands. Everything else allows the origin that it names; "null" and
 * schemes that are not for the web (an extension's, an app's) are compared as they are written. */

/* What is wrong with a rule, as a static text for people; NULL: nothing. */
const char *origin_rule_problem(const char *rule, size_t len);
/* Does a rule without a problem, which ends with a NUL, allow this origin, as a request sent it? */
bool origin_rule_allows(const char *rule, const char *text, size_t len);
