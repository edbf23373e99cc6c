/* The head of an HTTP/1.1 message (RFC 9112): request line or status line, and fields. The parser
 * is strict, pure and incremental: it reads no byte twice. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http_parts.h"

struct http_head_limits {
    uint32_t target_bytes;
    uint32_t head_bytes;
    uint32_t header_count; /* over HTTP_FIELDS_MAX it stands for that */
};

/* 24 bytes, for a connection whose head is incomplete. All zero is a fresh one. */
struct http_head_parser {
    uint32_t at;   /* scanned so far */
    uint32_t line; /* where the current token or line begins */
    uint8_t state;
    bool response;   /* set before the first call to read a status line */
    uint16_t status; /* after a refusal: the status to answer with */
    const char *why; /* after a refusal: a static text for people */
};

/* Goes on with the head in data[0..len), which begins where it began in earlier calls. *head is the
 * same one in all calls for one head, and need not be cleared before the first. Returns 1
 * (head->len bytes are the head), 0 if more are needed, or ERR_PROTOCOL with p->status one of
 *   400  bare CR or LF, blank before a colon, empty or bad field name, folding, control characters,
 *        no, two or a bad Host, Content-Length with Transfer-Encoding, lengths that are repeated,
 *        signed or not digits, Transfer-Encoding in 1.0, chunked twice, bad target, an upgrade to
 *        websocket with a body
 *   414  target too long      417  an expectation other than 100-continue
 *   431  head too long or too many fields
 *   501  a transfer coding other than chunked     505  not HTTP/1.0 or 1.1
 * A fault of syntax is reported with the first byte that shows it, a fault of meaning at the end of
 * the head. The answer does not depend on how the head was cut. After a refusal the parser repeats
 * it. One empty line before the request line is allowed (RFC 9112 §2.2). CONNECT is read (method 0)
 * so that the caller can answer 501, as it must for every method 0. */
int http_head_parse(struct http_head_parser *p, const char *data, size_t len,
                    const struct http_head_limits *limits, struct http_head *head)
    __attribute__((warn_unused_result));

/* The only field of that name, which is in lower case; NULL when there is none or several. *count
 * is how often it occurs; count may be NULL. `base` is the data that the head was parsed from. */
const struct http_field *http_head_field(const struct http_head *head, const char *base,
                                         const char *name, unsigned *count);

/* True when the token is in the comma lists of the fields of that name (both in lower case). */
bool http_head_has_token(const struct http_head *head, const char *base, const char *name,
                         const char *token);
