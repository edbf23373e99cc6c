/* A WebSocket that the script opens, until it is open: what is needed for it, and how it fails. */
#pragma once

#include "base/buffer.h"
#include "base/log.h"
#include "engine/client/connect.h"
#include "engine/client/dial.h"
#include "engine/conn/conn.h"
#include "protocol/handshake.h"
#include "protocol/ws_url.h"

/* Of a connection in CONN_CONNECT or CONN_ANSWER. Texts end with a NUL. */
struct client_opening {
    struct worker *worker;
    struct conn *conn;
    struct ws_url url; /* owned */
    char *host;
    char *authority;
    char *target;
    char *headers;
    size_t headers_len;
    char *names;                                        /* of the subprotocols */
    const char *protocols[HANDSHAKE_PROTOCOLS_MAX + 1]; /* in it */
    struct tls_context *tls;                            /* a reference, for wss */
    double connect_seconds;
    double handshake_seconds;
    uint32_t message_bytes; /* 0: as the app's, when it is open */
    uint32_t queued_bytes;
    uint32_t idle_seconds;
    uint32_t pong_seconds;
    uint32_t close_seconds;
    char key[HANDSHAKE_KEY_LEN + 1];
    bool named;      /* its addresses are known */
    bool failed;     /* the script was told */
    bool concurrent; /* takes no place in a queue */
    unsigned interim;
    struct dial dial;
    struct buffer in; /* of the answer's head */
    struct http_head_parser parser;
    struct http_head head;
};

/* Takes the URL, copies the rest. Gives the client and its opening, for c->client. NULL: out of
 * memory; the URL is freed. */
struct client *client_opening_new(const struct connect_options *options, struct ws_url *url)
    __attribute__((warn_unused_result));
/* It is open: frees the opening and leaves the client. */
void client_opening_done(struct client *client);
/* Frees the client with its opening; NULL is allowed. */
void client_free(struct client *client);

/* It fails, with a text for people: EVENT_ERROR and EVENT_CLOSE 1006, once, and the end. */
void client_fail(struct worker *w, struct conn *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for its TLS handshake, whose alert still has to reach the server. */
void client_fail_tls(struct worker *w, struct conn *c);
/* role->ended of both roles: the connection is dead, nothing comes of it any more. */
void client_ended(struct worker *w, struct conn *c);
/* role->drain of both roles. */
void client_drain(struct worker *w, struct conn *c);
/* A line in the log about a failure; the caller knows whether the script has heard of it. */
void client_log_failure(struct worker *w, const struct conn *c, enum log_level level,
                        const char *text, size_t len);
