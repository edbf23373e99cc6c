/* Traffic keys of TLS 1.3 (RFC 8446 §7), and the cipher contexts that work with them.
 *
 * OpenSSL needs more than a kilobyte for a context, so connections own none: a thread has some
 * hundred of them. Sealing or opening a record uses the context that still has its key; if there is
 * none, a clock's hand goes round to the first context that was not used twice since it last came
 * by, and the key is put in. So active connections keep their contexts, and an idle one costs its
 * keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The keys of one direction of one connection; tls_keys_deinit clears them. */
struct tls_keys {
    uint64_t sequence; /* of the next record (§5.3) */
    uint16_t suite;    /* as on the wire: 0x1301 to 0x1303 */
    uint16_t slot;     /* where its context was */
    bool seals;        /* they are ours; else the peer's */
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
    uint64_t records_per_key; /* then we change our keys; TLS_RECORDS_PER_KEY */
    unsigned count;           /* of slots */
    unsigned hand;            /* the clock's: a slot */
    struct tls_cipher_slot slots[];
};

/* contexts: how many there may be (1..65535); each is made when it is needed. NULL when out of
 * memory. */
struct tls_ciphers *tls_ciphers_new(unsigned contexts) __attribute__((warn_unused_result));
/* Free the ciphers after all keys that were used with them. c may be NULL. */
void tls_ciphers_free(struct tls_ciphers *c);

/* "TLS_AES_128_GCM_SHA256"; NULL for a suite that is not known here. */
const char *tls_suite_name(unsigned suite);
/* The length of the suite's secrets, at most TLS_SECRET_MAX; 0 for a suite that is not known. */
size_t tls_suite_secret_bytes(unsigned suite);

/* Makes keys from a traffic secret of tls_suite_secret_bytes bytes (§7.3), with sequence number 0.
 * suite is a known one. The keys must not move while they are used. Returns 0 or ERR_MEMORY. */
int tls_keys_init(struct tls_keys *keys, struct tls_ciphers *c, unsigned suite, bool seals,
                  const uint8_t *secret) __attribute__((warn_unused_result));
/* Replaces the keys by their next generation (§7.2), with sequence number 0. Returns 0, or
 * ERR_MEMORY: the keys are as they were. */
int tls_keys_update(struct tls_keys *keys, struct tls_ciphers *c)
    __attribute__((warn_unused_result));
/* Clears the keys, and the context that holds them. Keys that are all zero are allowed. */
void tls_keys_deinit(struct tls_keys *keys, struct tls_ciphers *c);

/* Returns a context with these keys, good until the next call with other ones; NULL when out of
 * memory. */
struct evp_cipher_ctx_st *tls_keys_context(struct tls_keys *keys, struct tls_ciphers *c)
    __attribute__((warn_unused_result));
