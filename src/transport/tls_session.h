/* A TLS connection from inside: what the files that work on one share, and its way to the socket.
 *
 * On the server's side of TLS 1.3 the SSL is freed when the handshake is done, and traffic takes
 * its place. Every other connection keeps its SSL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "transport/tls_traffic.h"

struct ssl_st; /* OpenSSL's SSL */
struct tls_context;
struct tls_stage;
struct tls_takeover;

/* The least room of a read: it is scratch space too, where everything that one recv() brings is
 * decrypted at once. */
enum { TLS_READ_BYTES = 65536 };

struct tls_session {
    struct ssl_st *ssl;            /* NULL: traffic has its keys */
    struct tls_traffic *traffic;   /* or NULL */
    struct tls_takeover *takeover; /* during a handshake that may end with traffic; else NULL */
    struct tls_context *context;   /* while there is an SSL */
    struct tls_stage *stage;       /* during a call that has one */
    const char *error;             /* says why it has failed */
    char *refusal;                 /* a client's: says why it refused the certificate, or NULL */
    char *peer;                    /* a client's: the server's key among the tickets, or NULL */
    struct buffer unsent; /* encrypted, not taken by the system; goes before everything else */
    int fd;
    int8_t failure;   /* 0, ERR_IO or ERR_CLOSED: over for good */
    bool in_progress; /* the handshake is not done */
    bool ended;       /* the peer ended its side */
    bool met_http;    /* the handshake failed: the peer spoke HTTP */
    bool unreported;  /* it ended or failed behind bytes that were still returned */
    bool resumed;     /* an earlier session; known when there is no SSL to ask any more */
};

/* The connection is over for good. code: ERR_IO or ERR_CLOSED; text: static, or NULL. Only the
 * first failure of a session counts: its code is returned. */
int tls_fail(struct tls_session *s, int code, const char *text);

/* Sends all of data[0..len), behind what is unsent; what the system does not take becomes unsent.
 * Returns 0, or the failure, which s keeps too. */
int tls_push(struct tls_session *s, const uint8_t *data, size_t len);
/* Sends what is unsent. Returns 0: nothing is left; ERR_AGAIN: the socket is full; or the
 * failure. */
int tls_flush_unsent(struct tls_session *s) __attribute__((warn_unused_result));
/* One recv() of up to len bytes. Returns how many came; 0: the peer ended its side; ERR_AGAIN:
 * there are none now; or ERR_IO: s has failed. */
ssize_t tls_receive(struct tls_session *s, void *into, size_t len)
    __attribute__((warn_unused_result));

/* Empties OpenSSL's queue of errors, which belongs to the thread. */
void tls_clear_errors(void);
