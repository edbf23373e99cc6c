/* Heads of responses (RFC 9112 §4, §5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"

/* "Not Found" for 404, "" for an unknown status. */
const char *http_status_text(unsigned status);

struct http_response {
    unsigned status;
    time_t now;      /* for Date */
    bool close;      /* Connection: close */
    bool keep_alive; /* Connection: keep-alive, which an HTTP/1.0 client needs to be told */
    bool has_length; /* write Content-Length, except for 1xx and 204 (RFC 9110 §8.6) */
    uint64_t content_length;
    const char *type;    /* Content-Type, or NULL */
    const char *headers; /* more lines "Name: value\r\n", or NULL */
    size_t headers_len;
};

/* Appends the head. 0, or ERR_MEMORY: *out is then unchanged. */
int http_response_head(struct buffer *out, const struct http_response *r)
    __attribute__((warn_unused_result));

/* Appends one header "Name: value\r\n" to *out. 0, ERR_MEMORY, or ERR_INVALID when the name is not
 * a token, when the value holds a control character other than HTAB (response splitting), or when
 * the server writes that field itself: Connection, Content-Length, Date, Transfer-Encoding, Upgrade
 * and the Sec-WebSocket- fields. */
int http_response_header(struct buffer *out, const char *name, size_t name_len, const char *value,
                         size_t value_len) __attribute__((warn_unused_result));
