/* A TLS connection from inside: what the files that work on one share.
 *
 * On the server's side of TLS 1.3 the SSL is freed when the handshake is done, and traffic takes its
 * place (tls_takeover.h). Everything else keeps its SSL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "transport/tls.h"
#include "transport/tls_traffic.h"

struct ssl_st;
struct tls_context;
struct tls_stage;
struct tls_takeover;

struct tls_session {
    struct ssl_st *ssl;            /* NULL: traffic has its keys */
    struct tls_traffic *traffic;   /* or NULL */
    struct tls_takeover *takeover; /* during a handshake that may end with traffic; else NULL */
    struct tls_context *context;   /* while there is an SSL */
    struct tls_stage *stage;       /* during a call that has one */
    const char *error;
    char *peer;           /* of a client: whom its sessions are for */
    struct buffer unsent; /* encrypted, not taken by the system; goes before everything else */
    int fd;
    int8_t failure;   /* 0, ERR_IO or ERR_CLOSED: over for good */
    bool in_progress; /* the handshake is not done */
    bool ended;       /* the peer ended its side */
    bool unreported;  /* ended or failed behind bytes that were still returned */
    bool resumed;     /* an earlier session; known when there is no SSL to ask any more */
};

/* Over for good, for the first reason given: ERR_IO or ERR_CLOSED, and a static text. Returns that of
 * the first. */
int tls_fail(struct tls_session *s, int code, const char *text);

/* Sends or keeps all of it, in order. 0 or the failure, which s keeps too. */
int tls_push(struct tls_session *s, const uint8_t *data, size_t len);
/* 0: unsent is empty; ERR_AGAIN; or the failure. */
int tls_flush_unsent(struct tls_session *s) __attribute__((warn_unused_result));
/* One recv(): bytes; 0: the peer ended its side; ERR_AGAIN; ERR_IO. The last but one is no failure. */
ssize_t tls_receive(struct tls_session *s, void *into, size_t len)
    __attribute__((warn_unused_result));

/* OpenSSL's queue of errors, emptied if there is something in it. */
void tls_clear_errors(void);

/* What tls.h says, for a connection with traffic (tls_direct.c). */
long tls_direct_read(struct tls_session *s, void *into, size_t len);
bool tls_direct_pending(const struct tls_session *s);
void tls_direct_shutdown(struct tls_session *s);
