/* The URL of a WebSocket that is opened (WHATWG URL Standard, basic URL parser without a base;
 * WebSockets Standard, "get the URL record"): parsed and serialized again as url shows it. Pure. */
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
    struct buffer text; /* "wss://user:word@host:1/path?query"; the default port is left out, */
    struct ws_url_part userinfo;  /* "user:word", still encoded; empty for none. As the standards
                                   * have it, it shows in url and is not sent */
    struct ws_url_part authority; /* "host:1": the value of the Host field */
    struct ws_url_part host;      /* a name in lower case (A-labels), or an address; an IPv6 one
                                   * without its brackets */
    struct ws_url_part target;    /* "/path?query" */
    struct ws_url_part query;     /* with its "?"; empty for none */
    uint16_t port;                /* the scheme's where none was named */
    bool secure;                  /* wss, or https */
    bool is_address;              /* the host is an IPv4 or IPv6 address */
};

/* 0; ERR_MEMORY; or ERR_INVALID with *why, a static text for people: where the standards say
 * SyntaxError (malformed, relative, another scheme, a fragment, also an empty one), for text that is
 * not UTF-8 or is too long, and for a name beyond ASCII where libidn2 is missing. On failure *out is
 * all zero. Blanks and control characters around the URL, and tabs and line ends anywhere in it, are
 * dropped; "\" is "/"; ports, addresses and names are put in their canonical form. Names beyond ASCII
 * become A-labels by UTS #46, non-transitional (base/idna.h). Any port is allowed: Fetch's list of bad
 * ports protects browsers' users from pages. */
int ws_url_parse(struct ws_url *out, const char *text, size_t len, const char **why)
    __attribute__((warn_unused_result));
void ws_url_deinit(struct ws_url *u);
