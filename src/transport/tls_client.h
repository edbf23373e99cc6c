/* TLS on the client's side: which servers it believes, and why it refused one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "transport/tls.h"

struct tls_client_options {
    const char *ca_file;   /* PEM: trusted in place of the system's authorities; or NULL */
    const char *cert_file; /* PEM: our certificate, then its chain; or NULL */
    const char *key_file;  /* PEM; NULL: in cert_file */
    bool insecure;         /* believe anybody */
};

/* Contexts of one thread, by what they were made of: files that have changed give a new one. */
struct tls_client_cache {
    struct map contexts;
};

void tls_client_cache_init(struct tls_client_cache *cache);
void tls_client_cache_deinit(struct tls_client_cache *cache);
/* Returns the context for these options, or NULL with one line in why. It has no reference for the
 * caller: it is good until the next call. Reads files when it makes one. */
struct tls_context *tls_client_context(struct tls_client_cache *cache,
                                       const struct tls_client_options *options,
                                       char why[TLS_WHY_BYTES]) __attribute__((warn_unused_result));

/* The client's side of a new connection on a non-blocking socket, which stays the caller's. Keeps a
 * reference to the context. NULL when out of memory.
 *
 * host: a name, which is sent (SNI, RFC 6066 §3) and must be in the server's certificate (RFC
 * 6125); or an address (is_address), which must be there too. When the certificate is refused,
 * tls_error is a whole sentence that names host and reason.
 *
 * A session that this server (host and port) gave over the same context is resumed, so never with
 * other authorities, another certificate of ours, or a server that was not verified. tls_tickets.h
 * says how many are kept and how long. */
struct tls_session *tls_connect(struct tls_context *c, int fd, const char *host, bool is_address,
                                unsigned port) __attribute__((warn_unused_result));
