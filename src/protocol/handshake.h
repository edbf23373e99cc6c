/* The opening handshake (RFC 6455 §4), the server's side and the client's. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "protocol/extension.h"
#include "protocol/http_head.h"

enum {
    HANDSHAKE_NONCE_LEN = 16,
    HANDSHAKE_KEY_LEN = 24,
    HANDSHAKE_ACCEPT_LEN = 28,
    HANDSHAKE_PROTOCOLS_MAX = 64 /* subprotocols in one request; more are refused */
};

/* Writes the Sec-WebSocket-Accept (§4.2.2 item 5.4) for a key, and a NUL. */
void handshake_accept(char out[HANDSHAKE_ACCEPT_LEN + 1], const char key[HANDSHAKE_KEY_LEN]);

/* ---- the server's side ---- */

/* Lists of texts end with NULL; a list that is NULL is empty. */
struct handshake_rules {
    /* The subprotocols that the route speaks, in its order of preference. */
    const char *const *protocols;
    /* The rules for origins (protocol/origin.h), without a problem; NULL for the request's own
     * host. */
    const char *const *origins;
    struct deflate_options deflate;
};

struct handshake {
    /* After an acceptance: */
    const char *protocol; /* of rules->protocols, or NULL */
    struct deflate_params deflate;
    struct http_span key;
    /* After a refusal: */
    uint16_t status; /* 400, 403, 405, 426 */
    const char *why; /* a static text for people */
};

/* Makes every check of §4.2.1 and of the Origin policy. `base` is the data that the head was parsed
 * from. `secure` says that the request came over TLS: its own host's Origin is then an https one.
 * Returns 0 with the acceptance, or ERR_PROTOCOL with the refusal:
 *   400  malformed      403  Origin      405  not GET (answer with Allow: GET)
 *   426  no Upgrade: websocket, or another version: answer with "Upgrade: websocket",
 *        "Connection: upgrade" and "Sec-WebSocket-Version: 13" (§4.4, RFC 9110 §15.5.22)
 * A request without Origin does not come from a browser and is allowed. */
int handshake_check(struct handshake *out, const struct http_head *head, const char *base,
                    const struct handshake_rules *rules, bool secure)
    __attribute__((warn_unused_result));

/* True when the client named this subprotocol: for a choice that is made after handshake_check. */
bool handshake_offers(const struct http_head *head, const char *base, const char *protocol,
                      size_t len);

/* Appends the 101 response to a key that handshake_check took (§4.2.2). protocol may be NULL;
 * headers are more lines "Name: value\r\n", or NULL. 0, or ERR_MEMORY: *out is then unchanged. */
int handshake_response(struct buffer *out, const char key[HANDSHAKE_KEY_LEN], const char *protocol,
                       const struct deflate_params *deflate, const char *headers,
                       size_t headers_len) __attribute__((warn_unused_result));

/* ---- the client's side ---- */

/* A client's request. All texts are the caller's, who has checked them: host and target hold no
 * blank or control character, and protocols are distinct tokens. */
struct handshake_offer {
    const char *host;             /* for Host: the port only where it is not the scheme's own */
    const char *target;           /* path and query: "/chat?room=1" */
    const char *origin;           /* or NULL */
    const char *const *protocols; /* NULL-terminated, in order of preference; NULL for none */
    struct deflate_options deflate;
    const char *headers; /* more lines "Name: value\r\n", or NULL */
    size_t headers_len;
};

/* Writes the text of a Sec-WebSocket-Key (§4.1) for 16 random bytes, and a NUL. */
void handshake_key(char out[HANDSHAKE_KEY_LEN + 1], const uint8_t nonce[HANDSHAKE_NONCE_LEN]);

/* Appends the request (§4.1). 0, or ERR_MEMORY: *out is then unchanged. */
int handshake_request(struct buffer *out, const struct handshake_offer *offer,
                      const char key[HANDSHAKE_KEY_LEN]) __attribute__((warn_unused_result));

struct handshake_answer {
    const char *protocol; /* of offer->protocols, or NULL */
    struct deflate_params deflate;
    const char *why; /* after a refusal: a static text for people */
};

/* Makes every check of §4.1 on the response's head. 0, or ERR_PROTOCOL with out->why: a status
 * other than 101; Upgrade, Connection or Accept that is missing, repeated or wrong; a subprotocol
 * that was not offered, or none where some were (WHATWG WebSockets, "establish a WebSocket
 * connection"); an extension that was not offered. */
int handshake_client_check(struct handshake_answer *out, const struct http_head *head,
                           const char *base, const struct handshake_offer *offer,
                           const char key[HANDSHAKE_KEY_LEN]) __attribute__((warn_unused_result));
