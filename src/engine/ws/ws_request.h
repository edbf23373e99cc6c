/* What a WebSocket keeps of its request, for ws.headers and its like.
 *
 * The browsers of one page say nearly the same, so each worker keeps equal requests once, and equal
 * headers once where the rest differs: 10,000 of them cost what one does, and their cookies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/intern.h"
#include "protocol/http_head.h"

/* A copy in the worker's table. Texts follow one another, without NULs between. */
struct ws_request {
    const struct ws_request_common *common; /* in the table too */
    uint32_t origin_len;                    /* "ws://host", the url's first part */
    uint32_t path_len;
    uint32_t query_len; /* with its "?", 0 for none */
    uint32_t headers_len;
    char text[]; /* origin, path, query, this peer's own headers as "name: value\n" */
};

struct ws_request_common {
    uint32_t generation; /* of the site that it was opened in */
    uint32_t protocol_len;
    uint32_t extensions_len;
    uint32_t headers_len;
    char text[]; /* protocol, extensions, the headers that others have too */
};

/* What is kept, before it is. */
struct ws_request_source {
    uint32_t generation;
    const char *protocol; /* with a NUL, or NULL */
    const char *extensions;
    size_t extensions_len;
    bool secure;
    const char *authority; /* of the url: "host:1" */
    size_t authority_len;
    const char *path;
    size_t path_len;
    const char *query; /* with its "?" */
    size_t query_len;
    const struct http_head *head; /* fields of it are kept */
    const char *base;             /* where the spans of head begin */
};

/* NULL: out of memory. scratch is empty before and after. */
const struct ws_request *ws_request_new(struct intern *table, struct buffer *scratch,
                                        const struct ws_request_source *from)
    __attribute__((warn_unused_result));
void ws_request_free(struct intern *table, const struct ws_request *k); /* NULL is allowed */

struct ws_request_text {
    const char *data;
    size_t len;
};

struct ws_request_texts {
    struct ws_request_text protocol;
    struct ws_request_text extensions;
    struct ws_request_text url;        /* with path and query */
    struct ws_request_text path;       /* still encoded */
    struct ws_request_text query;      /* still encoded, without its "?" */
    struct ws_request_text headers[2]; /* lines "name: value\n": of common, and this peer's own */
};

/* Finds the texts in k; they are valid as long as k is. */
void ws_request_texts(const struct ws_request *k, struct ws_request_texts *out);
