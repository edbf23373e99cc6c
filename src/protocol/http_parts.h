/* The parts of the head of an HTTP/1.1 message, as http_head.h finds them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bits, so that sets of methods are masks. */
enum http_method {
    HTTP_GET = 1,
    HTTP_HEAD = 2,
    HTTP_POST = 4,
    HTTP_PUT = 8,
    HTTP_DELETE = 16,
    HTTP_OPTIONS = 32,
    HTTP_PATCH = 64,
    HTTP_ANY = 127,
    HTTP_WEBSOCKET = 128 /* not a method: an upgrade, for the router */
};

/* A run of bytes inside the head: offsets, so that the buffer may move. */
struct http_span {
    uint32_t at;
    uint32_t len;
};

struct http_field {
    struct http_span name;  /* as sent; compare without case */
    struct http_span value; /* without the blanks around it */
};

/* What http_pairs.h takes apart. */
enum http_pairs {
    HTTP_PAIRS_COOKIES, /* "a=1; b=2": the value of Cookie */
    HTTP_PAIRS_QUERY,   /* "a=1&b", still encoded */
    HTTP_PAIRS_LINES,   /* "name: value\n…": the fields that an open WebSocket keeps */
    HTTP_PAIRS_LIST     /* "a, b": a comma list, whose members are names without a value */
};

struct http_pair {
    struct http_span name;
    struct http_span value;
};

enum { HTTP_FIELDS_MAX = 256 }; /* the hard bound of limits.header_count */

struct http_head {
    uint32_t method; /* enum http_method; 0: a token that is not one of ours (501) */
    uint8_t minor;   /* HTTP/1.minor */
    bool keep_alive; /* Connection and version together (RFC 9112 §9.3) */
    bool chunked;    /* Transfer-Encoding: chunked */
    bool has_length; /* Content-Length was there */
    /* Upgrade holds the token websocket, and Connection holds upgrade; never in HTTP/1.0 (RFC 9110
     * §7.8). */
    bool upgrade_websocket;
    /* Upgrade holds the token websocket, whatever the rest of the head says of it: a proxy may take
     * the request for the beginning of a tunnel. */
    bool names_websocket;
    bool expect_continue; /* Expect: 100-continue, and a body follows; never in HTTP/1.0 */
    uint16_t status;      /* response only */
    uint64_t content_length;
    struct http_span method_name;
    struct http_span target; /* as sent; for requests */
    /* Of the target, still encoded; "/" where an absolute target has none, "*" for OPTIONS *, empty
     * for CONNECT. */
    struct http_span path;
    struct http_span query; /* behind the "?", still encoded */
    /* The Host field's value, or the authority of an absolute target; empty when HTTP/1.0 named
     * none. */
    struct http_span host;
    uint32_t field_count;
    uint32_t len; /* bytes of the head, blank line included */
    struct http_field fields[HTTP_FIELDS_MAX];
};
