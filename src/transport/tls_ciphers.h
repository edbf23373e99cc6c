/* Traffic keys of TLS 1.3 (RFC 8446 §7), and the cipher contexts that work with them.
 *
 * OpenSSL needs more than a kilobyte for a context, so connections own none: a thread has some
 * hundred of them, and whoever seals or opens a record gets the one that still has its key, or the
 * first that was not used twice since the last look around (a clock), with its key put in. Active
 * connections keep theirs; an idle one costs its keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/tls.h"

enum {
    TLS_SECRET_MAX = 48, /* SHA-384 */
    TLS_KEY_MAX = 32,
    TLS_IV_BYTES = 12,
    TLS_CIPHER_CONTEXTS = 512, /* of a thread, each for one direction of one connection */
    TLS_SUITES = 3
};

/* RFC 8446 §5.5: AES-GCM is safe for 2^24.5 records of full size with one key. ChaCha20-Poly1305
 * would do with more; one limit is enough. */
enum { TLS_RECORDS_PER_KEY = 1 << 24 };

struct evp_cipher_st;     /* OpenSSL's EVP_CIPHER */
struct evp_cipher_ctx_st; /* OpenSSL's EVP_CIPHER_CTX */
struct evp_kdf_ctx_st;    /* OpenSSL's EVP_KDF_CTX */

/* One direction of one connection. Secret: cleared by tls_keys_deinit. */
struct tls_keys {
    uint64_t sequence; /* of the next record (§5.3) */
    uint16_t suite;    /* as on the wire: 0x1301 to 0x1303 */
    uint16_t slot;     /* where its context was */
    bool seals;        /* ours; else the peer's */
    uint8_t iv[TLS_IV_BYTES];
    uint8_t key[TLS_KEY_MAX];
    uint8_t secret[TLS_SECRET_MAX]; /* application_traffic_secret_N */
};

struct tls_cipher_slot {
    struct evp_cipher_ctx_st *context; /* NULL: none was needed yet */
    const struct tls_keys *owner;      /* whose key is in it; NULL: nobody's */
    uint16_t suite;                    /* 0: the context has no cipher */
    bool recent;                       /* used again since the clock's hand was here */
};

/* Of one thread. */
struct tls_ciphers {
    struct evp_cipher_st *ciphers[TLS_SUITES];
    struct evp_kdf_ctx_st *hkdf;
    uint64_t records_per_key; /* we change our keys after so many; TLS_RECORDS_PER_KEY */
    unsigned count;
    unsigned hand;
    struct tls_cipher_slot slots[];
};

/* With so many contexts (1..65535), which are made when they are needed. NULL when out of memory. */
struct tls_ciphers *tls_ciphers_new(unsigned contexts) __attribute__((warn_unused_result));
/* tls_ciphers_free, of tls.h, comes after all keys that were used with it. */

/* "TLS_AES_128_GCM_SHA256", and how long its secrets are; NULL and 0 for a suite not known here. */
const char *tls_suite_name(unsigned suite);
size_t tls_suite_secret_bytes(unsigned suite);

/* Keys from a traffic secret of tls_suite_secret_bytes bytes (§7.3), for sequence number 0. suite is
 * a known one; the keys must not move while they are used. 0 or ERR_MEMORY. */
int tls_keys_init(struct tls_keys *keys, struct tls_ciphers *c, unsigned suite, bool seals,
                  const uint8_t *secret) __attribute__((warn_unused_result));
/* The next generation (§7.2), its sequence number 0. 0 or ERR_MEMORY: the keys are as they were. */
int tls_keys_update(struct tls_keys *keys, struct tls_ciphers *c)
    __attribute__((warn_unused_result));
/* Clears the keys, and the context that holds them. All zero is allowed. */
void tls_keys_deinit(struct tls_keys *keys, struct tls_ciphers *c);

/* A context with these keys, good until the next call with other ones; NULL when out of memory. */
struct evp_cipher_ctx_st *tls_keys_context(struct tls_keys *keys, struct tls_ciphers *c);
