/* A WebSocket that the script opens (RFC 6455 §4.1): the name, TCP, TLS, the request and its answer.
 * Then it is a connection like those of the server, in the client's role. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/log.h"
#include "engine/client/connect.h"
#include "protocol/extension.h"

struct worker;
struct conn;
struct client_opening;
struct resolver_answer;

enum { CLIENT_ROUTE = 0xffffffff }; /* conn.route: none */

/* What a connection has that was not accepted but opened: its role, and what a route would say. */
struct client {
    struct limits limits;
    struct deflate_options deflate;
    struct client_opening *opening; /* until it is open */
};

/* As mw_connect of script/api.h. */
double client_connect(struct worker *w, const struct mw_connect *options, const char **why);

/* The addresses of a name came: a letter. */
void client_resolved(struct worker *w, const struct resolver_answer *answer);
/* The socket of a connection in CONN_CONNECT is ready: TLS goes on. */
void client_io(struct worker *w, struct conn *c);
/* Bytes of the answer (CONN_ANSWER), in the read arena; frames may follow in them. */
void client_input(struct worker *w, struct conn *c, uint8_t *data, size_t len);
/* In both states: it fails with a text for people. EVENT_ERROR, EVENT_CLOSE 1006, the end. */
void client_fail(struct worker *w, struct conn *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line in the log about it: the script knows whether it heard of the failure. */
void client_log_failure(struct worker *w, const struct conn *c, enum log_level level,
                        const char *text, size_t len);
void client_expired(struct worker *w, struct conn *c);
/* conn_kill tells: nothing more comes of it. */
void client_lost(struct worker *w, struct conn *c);
/* Frees c->client; NULL is allowed. */
void client_free(struct conn *c);
