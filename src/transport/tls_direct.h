/* A connection whose records are our own: s->traffic is set, and s->ssl is NULL. */
#pragma once

#include <stddef.h>

struct tls_pieces;
struct tls_session;

/* Reads from the socket into a place of at least TLS_READ_BYTES, and uses all of it as scratch
 * space. Returns the bytes decrypted (> 0); 0: close_notify or the end came; ERR_AGAIN; or ERR_IO:
 * s has failed. */
long tls_direct_read(struct tls_session *s, void *into, size_t len)
    __attribute__((warn_unused_result));
/* Seals one record's worth of the pieces from at on, and moves it on. The record goes to s->stage,
 * whose out has room for TLS_SEALED_MAX bytes. Returns 0, or the failure, which s keeps too. */
int tls_direct_seal(struct tls_session *s, struct tls_pieces *at)
    __attribute__((warn_unused_result));
/* Sends close_notify, as far as the socket takes it; the rest is unsent. */
void tls_direct_shutdown(struct tls_session *s);
