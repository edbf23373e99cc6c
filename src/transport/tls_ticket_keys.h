/* The keys that a server seals its session tickets with (RFC 5077 §4, RFC 8446 §4.6.1). They
 * change (RFC 9325 §3.4): who steals one opens the tickets of half a day, not those of the
 * process's life. A set belongs to a listener: all its workers, and all its contexts one after the
 * other, use the same. Nothing has to call for the change: it is made when a ticket is sealed or
 * opened and the newest key is too old. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct evp_cipher_ctx_st; /* OpenSSL's EVP_CIPHER_CTX and EVP_MAC_CTX */
struct evp_mac_ctx_st;

enum {
    TLS_TICKET_KEY_SECONDS = 12 * 60 * 60,    /* for which a key seals */
    TLS_TICKET_KEY_OLD_SECONDS = 2 * 60 * 60, /* for which it opens after that: as long as a ticket
                                               * is good */
    TLS_TICKET_NAME_BYTES = 16,
    TLS_TICKET_SECRET_BYTES = 32
};

/* What OpenSSL's callback returns. */
enum {
    TLS_TICKET_FAILED = -1,
    TLS_TICKET_UNKNOWN, /* no key of the ticket's name: a full handshake follows */
    TLS_TICKET_GOOD,
    TLS_TICKET_RENEW /* good, and the client gets a new one */
};

struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME_BYTES]; /* in the open, at the head of each ticket */
    uint8_t aes[TLS_TICKET_SECRET_BYTES];
    uint8_t hmac[TLS_TICKET_SECRET_BYTES];
    uint64_t born_ms; /* by clock_monotonic_ms; 0: there is no key */
};

struct tls_ticket_keys {
    _Atomic unsigned references;
    pthread_mutex_t lock;
    struct {
        struct tls_ticket_key current;
        struct tls_ticket_key old; /* the one before it */
    } locked;
};

/* Returns a set with one reference and a first key; NULL when out of memory or of randomness. */
struct tls_ticket_keys *tls_ticket_keys_new(void) __attribute__((warn_unused_result));
/* One more reference; returns k. From any thread, as all here. */
struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *k);
/* k may be NULL. The last reference wipes the keys. */
void tls_ticket_keys_unref(struct tls_ticket_keys *k);

/* For OpenSSL's callback (SSL_CTX_set_tlsext_ticket_key_evp_cb), with its results:
 * prepares cipher
 * and mac for a ticket, and when sealing writes name (TLS_TICKET_NAME_BYTES) and iv (16 bytes). */
int tls_ticket_keys_apply(struct tls_ticket_keys *k, unsigned char *name, unsigned char *iv,
                          struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac,
                          bool sealing) __attribute__((warn_unused_result));
