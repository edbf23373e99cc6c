/* Message bodies: Content-Length and chunked (RFC 9112 §6, §7.1). Pure, incremental. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_BODY_LINE_MAX = 256,     /* bytes of a chunk-size line, extensions included */
    HTTP_BODY_TRAILERS_MAX = 4096 /* bytes of the trailer section */
};

struct http_body {
    uint64_t left;  /* of the body, or of the chunk */
    uint64_t total; /* payload bytes that were announced so far */
    uint64_t max;   /* limits.body_bytes */
    uint32_t line;  /* bytes of the chunk-size line or trailers so far: bounded */
    uint8_t state;
    const char *why; /* on failure: a static text for people */
};

/* Begins a body of a known length, or a chunked one (then content_length is ignored). 0, or
 * ERR_TOO_BIG when the length is over max. */
int http_body_start(struct http_body *b, bool chunked, uint64_t content_length, uint64_t max)
    __attribute__((warn_unused_result));

/* Takes a run of payload from *data, *len, which advance. Returns
 *   1  with *out, *out_len a run inside the input, never empty
 *   0  the input is used up and more is needed
 *   2  the body is complete; what is left of the input belongs to the next message
 *   ERR_PROTOCOL  a chunk size that is not hexadecimal or too large for 64 bits, blanks after it, a
 *                 line or a trailer section that is too long, a bare CR or LF, a control character,
 *                 a trailer that is not a field. Extensions and trailers are read and dropped.
 *   ERR_TOO_BIG   as soon as a chunk's size passes the limit
 * A failure is repeated by later calls. */
int http_body_read(struct http_body *b, const char **data, size_t *len, const char **out,
                   size_t *out_len) __attribute__((warn_unused_result));
