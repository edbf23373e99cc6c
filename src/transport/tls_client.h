/* TLS on the client's side: who is believed, and why a server was not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "transport/tls.h"

struct tls_client_options {
    const char *ca_file;   /* PEM: what is trusted in place of the system's authorities; NULL */
    const char *cert_file; /* PEM: our certificate, then its chain; NULL */
    const char *key_file;  /* PEM; NULL: in cert_file */
    bool insecure;         /* believe anybody */
};

/* Contexts of one thread, by what they were made of: files that have changed give a new one. All
 * zero is not valid: see the first function. */
struct tls_client_cache {
    struct map contexts;
};

void tls_client_cache_init(struct tls_client_cache *cache);
void tls_client_cache_deinit(struct tls_client_cache *cache);
/* The context (without a reference of its own: good until the next call), or NULL with one line in
 * why. Loads OpenSSL and reads files, when there is none yet. */
struct tls_context *tls_client_context(struct tls_client_cache *cache,
                                       const struct tls_client_options *options,
                                       char why[TLS_WHY_BYTES]) __attribute__((warn_unused_result));

/* The client's side of a connection on a non-blocking socket, which stays the caller's; otherwise as
 * tls_accept. host: a name, which is sent (SNI, RFC 6066 §3) and must be in the server's certificate
 * (RFC 6125), or an address (is_address), which must be there too. When a certificate was refused,
 * tls_error is a whole sentence that names host and reason.
 *
 * A session that this server (host and port) gave over the same context is resumed (RFC 8446 §2.2, RFC
 * 5246 §7.3, RFC 5077): so never with other authorities, another certificate of ours, or when the
 * earlier one was not verified. One of TLS 1.3 is used once (RFC 8446 §C.4). At most TLS_TICKETS are
 * kept for a server, for the 64 that came last, and none longer than two hours or than its server's
 * certificate is valid. */
struct tls_session *tls_connect(struct tls_context *c, int fd, const char *host, bool is_address,
                                unsigned port) __attribute__((warn_unused_result));
