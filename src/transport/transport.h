/* One connection's bytes, whether TCP, a unix socket or TLS. Everything is non-blocking.
 *
 * Bytes that a write took are gone for the caller, on TLS too: the next write may begin with
 * anything. But when the socket was full, TLS may hold some of them encrypted. So when a queue has
 * become empty, call transport_flush: only its 0 means that the system has everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_session; /* one TLS connection, transport/tls.h */

struct transport {
    int fd;
    /* The caller's: bytes of messages that TLS took and may not have sent. It is kept here, where
     * there is room, for idle connections are counted in thousands. */
    uint32_t held;
    struct tls_session *tls; /* NULL: plain TCP or a unix socket; owned */
};

/* The least room for a read on TLS, which decrypts there all that one recv() brings. */
enum { TRANSPORT_READ_BYTES = 65536 };

/* Reads up to len bytes: len > 0, and on TLS len >= TRANSPORT_READ_BYTES. All of into[0..len) is
 * scratch space, also beyond the bytes returned. Returns the bytes read (> 0); 0: the peer ended
 * its side (FIN or, on TLS, close_notify); ERR_AGAIN: there are none now; or ERR_IO: a reset or a
 * TLS failure, see transport_error. */
long transport_read(struct transport *t, void *into, size_t len)
    __attribute__((warn_unused_result));

/* Returns the bytes taken (> 0, maybe fewer than len; 0 only for len 0); ERR_AGAIN: none were, the
 * socket is full; ERR_CLOSED: the peer takes no more (EPIPE, ECONNRESET); or ERR_IO. */
long transport_write(struct transport *t, const void *data, size_t len)
    __attribute__((warn_unused_result));
/* Writes several pieces, of which it takes IOV_MAX at most. TLS packs small ones into records of up
 * to 16 KiB. Returns like transport_write. */
long transport_writev(struct transport *t, const struct iovec *iov, int count)
    __attribute__((warn_unused_result));
/* Writes up to len bytes of a regular file from *at on, and moves *at by the bytes taken. Returns
 * like transport_write, but 0 if the file ends at *at: it was cut short meanwhile. */
long transport_send_file(struct transport *t, int file, off_t *at, size_t len)
    __attribute__((warn_unused_result));

/* Sends what TLS holds encrypted; a write begins with that by itself. Returns 0: nothing is left;
 * ERR_AGAIN: call it again when the socket is writable; ERR_CLOSED; or ERR_IO. Always 0 for plain
 * ones. */
int transport_flush(struct transport *t) __attribute__((warn_unused_result));

/* Goes on with the handshake. Returns 0: it is done (at once for plain ones); ERR_AGAIN: call it
 * again when the socket is readable or, if transport_wants_write, writable; or ERR_IO. */
int transport_handshake(struct transport *t) __attribute__((warn_unused_result));

/* TLS holds encrypted bytes that the system did not take: of the handshake, of a write, or an alert
 * made by a read. The next handshake, flush or write sends them. Always false for plain ones. */
bool transport_wants_write(const struct transport *t);
/* How many bytes that are. */
size_t transport_unsent(const struct transport *t);
/* Bytes of memory held for these, and for what came and cannot be read yet. */
size_t transport_memory(const struct transport *t);
/* transport_read would return something (bytes, the end, a failure) although the socket may never
 * again be readable. Always false for plain ones. */
bool transport_pending(const struct transport *t);

/* Our side ends: close_notify on TLS, then shutdown(SHUT_WR). The peer may still be read. */
void transport_shutdown(struct transport *t);
/* After a handshake that failed: has the peer sent an HTTP request without TLS? */
bool transport_met_http(const struct transport *t);
/* Frees the TLS session; the connection goes on without TLS. */
void transport_drop_tls(struct transport *t);
/* Frees the TLS session and closes the socket; t->fd is -1 afterwards. */
void transport_close(struct transport *t);

/* Neither direction works any more: the peer has reset the connection, or the system gave it up. */
bool transport_is_lost(const struct transport *t);

/* Why the last call returned ERR_IO or ERR_CLOSED, for the log: one line, never NULL, good until t
 * is closed. For plain ones it is read from errno, so ask before other system calls. */
const char *transport_error(const struct transport *t);
