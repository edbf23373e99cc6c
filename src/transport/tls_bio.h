/* The BIO through which OpenSSL reaches a connection's socket. It is our own, for three reasons:
 *
 * - Fewer system calls: what one recv() brings is decrypted at once, and the records of one write
 *   leave with one send(). OpenSSL alone would call recv() twice and send() once for each record.
 * - OpenSSL wants a write that was cut short to be repeated with the same bytes, but the caller may
 *   have put a control frame first by then. Here a record, once made, is ours: what the system does
 *   not take becomes unsent.
 * - send() with MSG_NOSIGNAL instead of write(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bio_method_st; /* OpenSSL's BIO_METHOD */
struct ssl_st;        /* OpenSSL's SSL */
struct tls_session;

/* The bytes between OpenSSL and the socket during one call; it lives on that call's stack. */
struct tls_stage {
    const uint8_t *in; /* received, not yet decrypted; NULL: each read of OpenSSL's is a recv() */
    size_t in_len;
    uint8_t *out; /* encrypted, not yet sent; NULL: each write of OpenSSL's is a send() */
    size_t out_len;
    size_t out_cap;
};

/* A kind of BIO for tls_bio_attach; the caller frees it with BIO_meth_free after the last BIO. NULL
 * when out of memory. */
struct bio_method_st *tls_bio_method(void) __attribute__((warn_unused_result));
/* Gives s->ssl a BIO of this kind, which is freed with it. False when out of memory. */
bool tls_bio_attach(struct tls_session *s, struct bio_method_st *method)
    __attribute__((warn_unused_result));
/* The session behind an SSL that has such a BIO. */
struct tls_session *tls_bio_session(const struct ssl_st *ssl);

/* Sends the out of s->stage, or makes it unsent. Returns 0 or the failure, which s keeps too. */
int tls_bio_flush(struct tls_session *s) __attribute__((warn_unused_result));
