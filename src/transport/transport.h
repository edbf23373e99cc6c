/* One connection's bytes, whether TCP, a unix socket or TLS. Everything is non-blocking.
 *
 * Bytes that a write took are gone for the caller, on TLS too: the next write may begin with
 * anything. But TLS may hold them encrypted, when the socket was full: so, a queue that has become
 * empty ends with transport_flush, and only its 0 means that the system has everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_session; /* one TLS connection, transport/tls.h */

struct transport {
    int fd;
    uint32_t
        held; /* the caller's: bytes of messages that TLS took and may not have sent. Kept here,
                    * where there is room: idle connections are counted in thousands */
    struct tls_session *tls; /* NULL: plain TCP or a unix socket */
};

/* TLS decrypts everything that one recv() brings in one call if the buffer has this many bytes;
 * smaller ones cost it more system calls, or a copy. */
enum { TRANSPORT_READ_BYTES = 65536 };

/* Bytes read (> 0); 0: the peer ended its side (FIN or, on TLS, close_notify); ERR_AGAIN; ERR_IO: a
 * reset or a TLS failure, see transport_error. Uses all of into[0..len) as scratch space, also
 * beyond the bytes returned. */
long transport_read(struct transport *t, void *into, size_t len)
    __attribute__((warn_unused_result));

/* Bytes taken (> 0, maybe fewer than len); ERR_AGAIN; ERR_CLOSED: the peer takes no more (EPIPE,
 * ECONNRESET); ERR_IO. 0 only for len 0. */
long transport_write(struct transport *t, const void *data, size_t len)
    __attribute__((warn_unused_result));
/* The same, gathered; more than IOV_MAX pieces are taken partly. TLS packs small pieces into
 * records of up to 16 KiB. */
long transport_writev(struct transport *t, const struct iovec *iov, int count)
    __attribute__((warn_unused_result));
/* The same for a regular file: sends up to len bytes from *at on and moves *at by what was taken,
 * which it returns. 0: the file ends at *at (it was cut short meanwhile). */
long transport_send_file(struct transport *t, int file, off_t *at, size_t len)
    __attribute__((warn_unused_result));

/* Sends what TLS holds encrypted. 0: nothing is left; ERR_AGAIN: call it again when the socket is
 * writable; ERR_CLOSED, ERR_IO. Always 0 for plain ones. A write begins with it by itself. */
int transport_flush(struct transport *t) __attribute__((warn_unused_result));

/* 0: done (at once for plain ones), ERR_AGAIN: call it again when the socket is readable or, if
 * transport_wants_write, writable; ERR_IO. */
int transport_handshake(struct transport *t) __attribute__((warn_unused_result));

/* TLS holds encrypted bytes that the system did not take: of the handshake, of a write, or an alert
 * made by a read. They leave with the next handshake, flush or write. Always false for plain ones. */
bool transport_wants_write(const struct transport *t);
/* How many. */
size_t transport_unsent(const struct transport *t);
/* transport_read would return something (bytes, the end, a failure) although the socket may never
 * again be readable. Always false for plain ones. */
bool transport_pending(const struct transport *t);

/* Our side ends: close_notify on TLS, then shutdown(SHUT_WR). The peer may still be read. */
void transport_shutdown(struct transport *t);
/* Frees the TLS session and closes the socket; t->fd is -1 afterwards. */
void transport_close(struct transport *t);

/* Neither direction works any more: the peer has reset the connection, or it was given up. */
bool transport_is_lost(const struct transport *t);

/* Why the last call gave ERR_IO or ERR_CLOSED, for the log: static text, never NULL. For plain ones
 * it is read from errno, so ask before other system calls. */
const char *transport_error(const struct transport *t);
