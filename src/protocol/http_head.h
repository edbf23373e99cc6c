/* The head of an HTTP/1.1 message (RFC 9112): request line or status line, and fields. Strict, pure,
 * incremental: what was read is not read again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_method { /* bits, so that sets of them are masks */
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

enum { HTTP_FIELDS_MAX = 256 }; /* the hard bound of limits.header_count */

struct http_head {
    uint32_t method;        /* enum http_method; 0: a token that is not one of ours (501) */
    uint8_t minor;          /* HTTP/1.minor */
    bool keep_alive;        /* Connection and version together (RFC 9112 §9.3) */
    bool chunked;           /* Transfer-Encoding: chunked */
    bool has_length;        /* Content-Length was there */
    bool upgrade_websocket; /* Upgrade holds the token websocket, and Connection holds upgrade;
                               * never in HTTP/1.0 (RFC 9110 §7.8) */
    bool expect_continue;   /* Expect: 100-continue, and a body follows; never in HTTP/1.0 */
    uint16_t status;        /* response only */
    uint64_t content_length;
    struct http_span method_name;
    struct http_span target; /* as sent; for requests */
    struct http_span path;   /* of the target, still encoded; "/" where an absolute target has none;
                               * "*" for OPTIONS *; empty for CONNECT */
    struct http_span query;  /* after the ?, still encoded */
    struct http_span host;   /* the Host field's value, or the authority of an absolute target;
                               * empty when HTTP/1.0 named none */
    uint32_t field_count;
    uint32_t len; /* bytes of the head, blank line included */
    struct http_field fields[HTTP_FIELDS_MAX];
};

struct http_head_limits {
    uint32_t target_bytes;
    uint32_t head_bytes;
    uint32_t header_count; /* HTTP_FIELDS_MAX at most, whatever it says */
};

/* 24 bytes, for a connection whose head is incomplete. */
struct http_head_parser {
    uint32_t at;   /* scanned so far */
    uint32_t line; /* where the current token or line begins */
    uint8_t state;
    bool response;   /* set before the first call to read a status line */
    uint16_t status; /* on refusal: the status to answer with */
    const char *why; /* on refusal: a static text for people */
};

/* Go on with the head in data[0..len), which begins where it began in earlier calls; *head is the
 * same one in all calls for one head (it need not be cleared before the first). Start with an
 * all-zero parser. Returns 1 (head->len bytes are the head), 0 if more are needed, or ERR_PROTOCOL
 * with parser->status one of
 *   400  bare CR or LF, blank before a colon, empty or bad field name, folding, control characters,
 *        no, two or a bad Host, Content-Length with Transfer-Encoding, lengths that are repeated,
 *        signed or not digits, Transfer-Encoding in 1.0, chunked twice, bad target, an upgrade to
 *        websocket with a body
 *   414  target too long      417  an expectation other than 100-continue
 *   431  head too long or too many fields
 *   501  a transfer coding other than chunked     505  not HTTP/1.0 or 1.1
 * A fault of syntax is reported with the first byte that shows it, a fault of meaning at the end of
 * the head. The answer does not depend on how the head was cut. After a refusal the parser only
 * repeats it. One empty line before the request line is allowed (RFC 9112 §2.2). CONNECT is read
 * (method 0) so that the caller can answer 501, as it must for every method 0. */
int http_head_parse(struct http_head_parser *p, const char *data, size_t len,
                    const struct http_head_limits *limits, struct http_head *head);

/* The only field of that name (lower case); NULL when there is none or several. *count (may be
 * NULL) is its number of occurrences. base is the data the head was parsed from. */
const struct http_field *http_head_field(const struct http_head *head, const char *base,
                                         const char *name, unsigned *count);

/* Is the token (lower case) in the comma lists of all fields of that name? */
bool http_head_has_token(const struct http_head *head, const char *base, const char *name,
                         const char *token);
