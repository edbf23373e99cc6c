/* The head of an HTTP/1.1 message (RFC 9112): request line or status line, and fields. Strict, pure,
 * incremental: what was read is not read again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http_parts.h"

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
