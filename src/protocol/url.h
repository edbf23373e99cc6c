/* Percent-encoding and authorities of request targets (RFC 3986). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The byte that the escape means which text[0..len) begins with ("%41…"), or -1 when it begins with
 * none. */
int url_escape(const char *text, size_t len) __attribute__((warn_unused_result));

/* Decodes %XX, and "+" to a blank when plus is not 0, from `in` to `out`, which may be the same
 * place. Returns the new length, or ERR_INVALID for a broken escape. */
long url_decode(char *out, const char *in, size_t len, int plus)
    __attribute__((warn_unused_result));

/* An authority without user information: host [":" port] (§3.2). Points into the text. */
struct url_authority {
    const char *host; /* a name, an IPv4 address, or an IPv6 address with its brackets */
    size_t host_len;
    uint16_t port; /* valid when has_port */
    bool has_port; /* false for "host:" too */
};

/* Returns 0, or ERR_INVALID: an empty host, user information, a byte that no host may hold, a
 * broken escape, a bad IPv6 address, a port over 65535. */
int url_authority(struct url_authority *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
