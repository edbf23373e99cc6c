/* One TLS connection, 1.2 or 1.3 (RFC 5246, RFC 8446), with OpenSSL: the server's side, and what
 * both sides do. Everything is non-blocking. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "transport/tls_ciphers.h"
#include "transport/tls_context.h"

struct tls_session;

/* The server's side of a new connection on a non-blocking socket, which stays the caller's. Keeps a
 * reference to the context. NULL when out of memory.
 *
 * ciphers: of the thread that uses the session. *ciphers is NULL until the first session needs them
 * and makes them; the thread frees them after its sessions, with tls_ciphers_free. They let TLS 1.3
 * go on without OpenSSL's 14 KB for each connection. Without (NULL) the session keeps those. */
struct tls_session *tls_accept(struct tls_context *c, int fd, struct tls_ciphers **ciphers)
    __attribute__((warn_unused_result));
/* A session whose side is not chosen yet; otherwise like tls_accept without ciphers. */
struct tls_session *tls_new(struct tls_context *c, int fd) __attribute__((warn_unused_result));
/* Frees the session and leaves the socket open. s may be NULL. */
void tls_free(struct tls_session *s);

/* Goes on with the handshake. Returns 0: it is done and all is sent; ERR_AGAIN: call it again when
 * the socket is readable or, if something is unsent, writable; ERR_IO: it failed, see tls_error. */
int tls_handshake(struct tls_session *s) __attribute__((warn_unused_result));

/* Reads into[0..len), where len is at least TLS_READ_BYTES (tls_session.h); all of it is scratch
 * space. Returns the bytes decrypted (> 0); 0: the peer ended its side; ERR_AGAIN; or ERR_IO. */
long tls_read(struct tls_session *s, void *into, size_t len) __attribute__((warn_unused_result));
/* The next tls_read returns something although the socket may never be readable again. */
bool tls_pending(const struct tls_session *s);

/* Encrypts and sends until all pieces are taken or the socket is full. Small pieces share records
 * of up to 16 KiB. Returns the bytes taken, of which some may be unsent; ERR_AGAIN: something was
 * unsent already, and is still; ERR_CLOSED: the peer takes no more; or ERR_IO. */
long tls_writev(struct tls_session *s, const struct iovec *iov, int count)
    __attribute__((warn_unused_result));
/* Sends what is unsent. Returns 0: nothing is left; ERR_AGAIN; ERR_CLOSED; or ERR_IO. */
int tls_flush(struct tls_session *s) __attribute__((warn_unused_result));
/* How many encrypted bytes the system did not take yet. */
size_t tls_unsent(const struct tls_session *s);
/* Bytes of memory held for them, and for a record that has come in part. */
size_t tls_memory(const struct tls_session *s);
/* Our side ends: sends close_notify, as far as the socket takes it. Does nothing in a handshake or
 * after a failure. */
void tls_shutdown(struct tls_session *s);

/* Why the session failed: one line, never NULL, good as long as the session. */
const char *tls_error(const struct tls_session *s);
/* "TLSv1.3"; static text. */
const char *tls_version_name(const struct tls_session *s);
/* The cipher suite's name; static text. */
const char *tls_cipher_name(const struct tls_session *s);
/* Whether the handshake resumed an earlier session. */
bool tls_resumed(const struct tls_session *s);
/* After a handshake that failed: did the peer send an HTTP request instead of a ClientHello? */
bool tls_met_http(const struct tls_session *s);
