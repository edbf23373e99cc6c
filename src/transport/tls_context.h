/* What tls.c, tls_context.c and tls_client.c share. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "transport/tls.h"

struct bio_method_st; /* OpenSSL's BIO_METHOD */
struct ssl_ctx_st;    /* OpenSSL's SSL_CTX */
struct ssl_st;        /* OpenSSL's SSL */

/* Sessions of one server that a client may resume, the newest last. */
enum { TLS_TICKETS = 4 };
struct tls_tickets {
    struct ssl_session_st *sessions[TLS_TICKETS];
    unsigned count;
};

struct tls_context {
    _Atomic unsigned references;
    struct bio_method_st *socket_method; /* how sessions reach their socket */
    struct ssl_ctx_st **by_certificate;  /* [0] is the default */
    size_t count;
    struct map by_name; /* lower-case DNS names, "*.example.com" too, to SSL_CTX */
    struct map tickets; /* of a client: "host:port" to struct tls_tickets; of one thread */
};

/* A BIO_METHOD whose BIOs have a struct tls_session as data. NULL when out of memory. */
struct bio_method_st *tls_socket_method(void);

/* One reference and room for so many SSL_CTX, or NULL. */
struct tls_context *tls_context_alloc(size_t certificates);
/* Reads a certificate with its chain and its key and uses them in ctx; or says why not. */
bool tls_context_use_pair(struct ssl_ctx_st *ctx, const struct tls_certificate *paths,
                          char why[TLS_WHY_BYTES]);

/* A session whose side is not chosen yet; as tls_accept. */
struct tls_session *tls_session_new(struct tls_context *c, int fd);
struct ssl_st *tls_session_ssl(struct tls_session *s);
/* The server's key in context->tickets, which the session owns from now on: NUL-terminated, or NULL. */
void tls_session_set_peer(struct tls_session *s, char *peer);
/* Of the session behind an SSL, for OpenSSL's callbacks. */
const char *tls_session_peer(const struct ssl_st *ssl, struct tls_context **context);
/* A client's handshake is done (tls_client.c). */
void tls_client_done(struct ssl_st *ssl);
void tls_tickets_free(struct map *tickets);
