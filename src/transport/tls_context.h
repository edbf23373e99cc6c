/* A context: the certificates and settings that TLS connections share.
 *
 * A context of a server belongs to a listener and may be used by all threads at once. To change
 * certificates, make a new context and use it for new connections; those that exist keep the old
 * one alive. A context of a client belongs to one thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "transport/tls_tickets.h"

struct bio_method_st; /* OpenSSL's BIO_METHOD */
struct ssl_ctx_st;    /* OpenSSL's SSL_CTX */
struct tls_ticket_keys;

/* Room for one line that says what is wrong. */
enum { TLS_WHY_BYTES = 256 };

struct tls_certificate {
    const char *cert_path; /* PEM: the certificate, then its chain */
    const char *key_path;  /* PEM, not encrypted; NULL: in the file of the certificate */
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_options {
    /* SNI (RFC 6066 §3) chooses one by the names in the certificates (subjectAltName, or the common
     * name where there is none); "*.example.com" stands for one label (RFC 6125 §6.4.3). The first
     * is for clients that send no name, or one that no certificate has. */
    const struct tls_certificate *certificates;
    size_t certificate_count;
    enum tls_version min_version;
    /* A context whose session tickets the new one accepts, so that clients resume across a change
     * of certificates; or NULL. */
    const struct tls_context *previous;
};

/* Only the files of TLS look inside. */
struct tls_context {
    _Atomic unsigned references;
    struct bio_method_st *bio_method;   /* how sessions reach their socket */
    struct ssl_ctx_st **by_certificate; /* [0] is the default */
    size_t count;
    struct map by_name;                  /* lower-case DNS names, "*.example.com" too, to SSL_CTX */
    struct tls_tickets tickets;          /* a client's */
    struct tls_ticket_keys *ticket_keys; /* a server's; shared with the contexts before and after */
};

/* Returns a server's context with one reference, or NULL with one line in why. On success why is ""
 * or holds a warning: a certificate has expired or is not valid yet. Reads files. */
struct tls_context *tls_context_new(const struct tls_options *options, char why[TLS_WHY_BYTES])
    __attribute__((warn_unused_result));
/* One more reference; returns c. Any thread may take and give back references. */
struct tls_context *tls_context_ref(struct tls_context *c);
/* c may be NULL. */
void tls_context_unref(struct tls_context *c);

/* Returns a context with one reference and room for this many SSL_CTX, which it frees at its end;
 * or NULL when out of memory. */
struct tls_context *tls_context_alloc(size_t certificates) __attribute__((warn_unused_result));
/* Reads a certificate with its chain and its key, and uses them in ctx. False with one line in why
 * if it cannot. */
bool tls_context_use_pair(struct ssl_ctx_st *ctx, const struct tls_certificate *paths,
                          char why[TLS_WHY_BYTES]) __attribute__((warn_unused_result));

/* OpenSSL's name and version, static text. */
const char *tls_library_version(void);
