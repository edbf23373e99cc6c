/* One protected record of TLS 1.3 (RFC 8446 §5), sealed or opened. Pure: no socket. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "transport/tls_ciphers.h"
#include "transport/tls_pieces.h"

enum {
    TLS_RECORD_HEADER_BYTES = 5,
    TLS_RECORD_TAG_BYTES = 16,
    TLS_RECORD_PLAIN_MAX = 16384,                     /* §5.1 */
    TLS_RECORD_BODY_MAX = TLS_RECORD_PLAIN_MAX + 256, /* encrypted, §5.2 */
    TLS_RECORD_MAX = TLS_RECORD_HEADER_BYTES + TLS_RECORD_BODY_MAX,
    /* A record adds this to its bytes: header, type, tag. */
    TLS_RECORD_EXTRA = TLS_RECORD_HEADER_BYTES + 1 + TLS_RECORD_TAG_BYTES
};

/* §B.1 */
enum tls_content { TLS_CONTENT_ALERT = 21, TLS_CONTENT_HANDSHAKE = 22, TLS_CONTENT_DATA = 23 };

/* §6 */
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_USER_CANCELED = 90
};

/* An opened record. */
struct tls_record {
    size_t len;   /* of its content, without padding */
    uint8_t type; /* enum tls_content, or any other */
};

/* Reads a record's header. Returns how many bytes follow it, 0..TLS_RECORD_BODY_MAX, or the alert
 * that it deserves, negative: unexpected_message (not a protected record), protocol_version or
 * record_overflow. */
int tls_record_body(const uint8_t header[TLS_RECORD_HEADER_BYTES])
    __attribute__((warn_unused_result));

/* Opens a whole record: its header, and behind it a body of body_len bytes, as tls_record_body
 * said. into has TLS_RECORD_BODY_MAX bytes and does not overlap the record. Returns 0, or the alert
 * that the record deserves, negative: bad_record_mac, record_overflow, unexpected_message (no type
 * inside) or internal_error (out of memory). Then nothing is left in into, for nobody may see bytes
 * that are not authentic. */
int tls_record_open(struct tls_keys *keys, struct tls_ciphers *c, const uint8_t *record,
                    size_t body_len, uint8_t *into, struct tls_record *out)
    __attribute__((warn_unused_result));

/* Seals up to TLS_RECORD_PLAIN_MAX bytes of the pieces from at on, and moves it on. out has room
 * for them and TLS_RECORD_EXTRA bytes. Returns the record's length; or ERR_MEMORY, with garbage in
 * out. */
long tls_record_seal(struct tls_keys *keys, struct tls_ciphers *c, enum tls_content type,
                     struct tls_pieces *at, uint8_t *out) __attribute__((warn_unused_result));
/* Seals data[0..len), of at most TLS_RECORD_PLAIN_MAX bytes, likewise. */
long tls_record_seal_bytes(struct tls_keys *keys, struct tls_ciphers *c, enum tls_content type,
                           const void *data, size_t len, uint8_t *out)
    __attribute__((warn_unused_result));
