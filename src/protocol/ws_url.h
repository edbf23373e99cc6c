/* The URL that a WebSocket is opened with, parsed and serialized (WHATWG URL Standard, basic URL
 * parser without a base URL; WebSockets Standard, "get the URL record"). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { WS_URL_BYTES_MAX = 1 << 20 }; /* of the text that is parsed */

/* A run of bytes of the text. */
struct ws_url_part {
    uint32_t at;
    uint32_t len;
};

struct ws_url {
    struct buffer text; /* "wss://user:word@host:1/path?query", without the scheme's own port */
    /* "user:word", still encoded, or empty. The standards show it in the URL and do not send it. */
    struct ws_url_part userinfo;
    struct ws_url_part authority; /* "host:1": the value of the Host field */
    /* A name in lower case (A-labels), or an address; an IPv6 one without its brackets. */
    struct ws_url_part host;
    struct ws_url_part target; /* "/path?query" */
    struct ws_url_part query;  /* with its "?", or empty */
    uint16_t port;             /* the scheme's own where the URL names none */
    bool secure;               /* wss, or https */
    bool is_address;           /* the host is an IPv4 or IPv6 address */
};

/* Parses a URL. Blanks and control characters around it, and tabs and line ends anywhere in it, are
 * dropped; "\" is "/"; ports, addresses and names are put in their canonical form (ws_host.h). Any
 * port is allowed: Fetch's list of bad ports protects the users of browsers from pages. Returns 0,
 * ERR_MEMORY, or ERR_INVALID with *why, a static text for people: where the standards say
 * SyntaxError (malformed, relative, another scheme, a fragment, even an empty one), for text that
 * is not UTF-8 or is over WS_URL_BYTES_MAX, and for a name beyond ASCII where libidn2 is missing.
 * After a failure *out is all zero. */
int ws_url_parse(struct ws_url *out, const char *text, size_t len, const char **why)
    __attribute__((warn_unused_result));

/* Frees the text. */
void ws_url_deinit(struct ws_url *u);
