/* A TLS 1.3 connection after its handshake (RFC 8446 §4.6.3, §5, §6): application data, KeyUpdate,
 * alerts. Pure: bytes come in and go out in memory. It is the server's side, where no other message
 * can come once the handshake is done: client certificates are not asked for later, and tickets are
 * what the server sends. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "transport/tls_record.h"

enum {
    /* The most records in a row that bring no data: empty ones, KeyUpdates, parts of one. A peer
     * may send them, but has no reason for many, and each costs more than it seems. Data of ours
     * ends the row too, so a peer that only listens may change keys as often as it likes (§4.6.3
     * has no limit). */
    TLS_USELESS_RECORDS = 32,
    TLS_KEY_UPDATE_BYTES = 5,
    /* The most that tls_traffic_seal writes: the record, and perhaps a KeyUpdate before it. */
    TLS_SEALED_MAX = TLS_RECORD_PLAIN_MAX + TLS_KEY_UPDATE_BYTES + 2 * TLS_RECORD_EXTRA,
    TLS_ALERT_SEALED_BYTES = 2 + TLS_RECORD_EXTRA
};

struct tls_traffic {
    struct tls_ciphers *ciphers; /* the thread's */
    struct tls_keys in;
    struct tls_keys out;
    struct buffer partial; /* the caller's: a record of which the end has not come */
    uint8_t message[TLS_KEY_UPDATE_BYTES]; /* a handshake message that comes in parts */
    uint8_t message_len;
    uint8_t useless; /* records in a row, see TLS_USELESS_RECORDS */
    bool update_due; /* the peer wants new keys of ours before our next data */
    bool close_sent; /* our close_notify is sealed: nothing may follow it */
};

/* The outcome of opening some records. */
struct tls_opened {
    size_t used; /* bytes of the input: whole records */
    size_t len;  /* bytes of data */
    bool ended;  /* close_notify came; nobody needs what follows it (§6.1) */
    /* It is over for good. Then alert is to be sent; or alert is TLS_ALERT_CLOSE_NOTIFY, and told
     * is the alert that the peer has sent. */
    bool failed;
    uint8_t alert;
    uint8_t told;
};

/* Makes keys from both sides' application_traffic_secret_0, whose next records are their first
 * ones. suite is a known one. The traffic must not move. Returns 0 or ERR_MEMORY. */
int tls_traffic_init(struct tls_traffic *t, struct tls_ciphers *ciphers, unsigned suite,
                     const uint8_t *in_secret, const uint8_t *out_secret)
    __attribute__((warn_unused_result));
/* Clears the keys and frees the buffer. */
void tls_traffic_deinit(struct tls_traffic *t);

/* Opens the whole records of in[0..len) and puts their data, without gaps, to into. That has room
 * for len bytes, and lies before in by TLS_RECORD_BODY_MAX bytes at least or does not overlap it:
 * data is shorter than its records, so it never gets to where they still are. */
void tls_traffic_open(struct tls_traffic *t, const uint8_t *in, size_t len, uint8_t *into,
                      struct tls_opened *out);

/* Seals one record's worth of the pieces from at on, which moves on, and before it a KeyUpdate if
 * one is due. out has TLS_SEALED_MAX bytes. Returns how many it wrote; ERR_MEMORY; or ERR_CLOSED
 * after close_notify. */
long tls_traffic_seal(struct tls_traffic *t, struct tls_pieces *at, uint8_t *out)
    __attribute__((warn_unused_result));
/* Seals an alert; out has TLS_ALERT_SEALED_BYTES bytes. Returns how many it wrote; ERR_MEMORY; or
 * ERR_CLOSED after close_notify or another alert. */
long tls_traffic_alert(struct tls_traffic *t, enum tls_alert alert, uint8_t *out)
    __attribute__((warn_unused_result));
