/* TLS 1.2 and 1.3 (RFC 5246, RFC 8446) on the server's side, with OpenSSL.
 *
 * A context belongs to a listener and may be used by all threads at once. To change certificates,
 * make a new context and use it for new connections; those that exist keep the old one alive.
 *
 * OpenSSL is loaded with the first context (transport/openssl.h), and all else needs one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { TLS_WHY_BYTES = 256 };

struct tls_ciphers;
struct tls_context;
struct tls_session;

struct tls_certificate {
    const char *cert_path; /* PEM: the certificate, then its chain */
    const char *key_path;  /* PEM, not encrypted; NULL: in the file of the certificate */
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_options {
    /* Chosen by SNI (RFC 6066 §3) through the names in the certificates (subjectAltName, or the
     * common name where there is none); "*.example.com" stands for one label (RFC 6125 §6.4.3).
     * The first is for clients that send no name or one that no certificate has. */
    const struct tls_certificate *certificates;
    size_t certificate_count;
    enum tls_version min_version;
    /* A context whose session tickets the new one accepts, so that clients resume across a change
     * of certificates; or NULL. */
    const struct tls_context *previous;
};

/* The context with one reference, or NULL with one line in why. Loads OpenSSL. On success why is "" or holds a
 * warning (a certificate that is expired or not yet valid). Reads files. */
struct tls_context *tls_context_new(const struct tls_options *options, char why[TLS_WHY_BYTES])
    __attribute__((warn_unused_result));
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is allowed */

/* The server's side of a new connection on a non-blocking socket, which stays the caller's; keeps a
 * reference to the context. NULL when out of memory. Goes into struct transport, whose functions
 * are the way to use it.
 *
 * ciphers: of the thread that uses the session, NULL until the first session needs them and then made
 * here; freed by that thread, after its sessions, with tls_ciphers_free. They let TLS 1.3 go on
 * without OpenSSL's 14 KB for each connection. Without (NULL) the session keeps those. */
struct tls_session *tls_accept(struct tls_context *c, int fd, struct tls_ciphers **ciphers)
    __attribute__((warn_unused_result));
void tls_ciphers_free(struct tls_ciphers *ciphers); /* NULL is allowed */

/* What transport.c calls; the contracts are those of transport.h. */
long tls_read(struct tls_session *s, void *into, size_t len);
long tls_writev(struct tls_session *s, const struct iovec *iov, int count);
int tls_flush(struct tls_session *s);
int tls_handshake(struct tls_session *s);
size_t tls_unsent(const struct tls_session *s);
bool tls_pending(const struct tls_session *s);
void tls_shutdown(struct tls_session *s); /* close_notify, as far as the socket takes it */
void tls_free(struct tls_session *s);     /* NULL is allowed; leaves the socket open */
const char *tls_error(const struct tls_session *s);

/* For logs and status: "TLSv1.3", a cipher's name, and whether the session was resumed. */
const char *tls_version_name(const struct tls_session *s);
const char *tls_cipher_name(const struct tls_session *s);
bool tls_resumed(const struct tls_session *s);
/* OpenSSL's name and version, after loading it; or NULL with one line in why. */
const char *tls_library_version(char why[TLS_WHY_BYTES]);
