/* Suites, the contexts of a thread, and keys from secrets (HKDF). */
#include "transport/tls_ciphers.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { FIRST_SUITE = 0x1301, LABEL_MAX = 2 + 1 + 18 + 1 };

struct suite {
    const char *name;
    const char *cipher; /* as OpenSSL names it */
    const char *digest;
    uint8_t key_bytes;
    uint8_t secret_bytes;
};

/* RFC 8446 §B.4, from FIRST_SUITE on. */
static const struct suite suites[TLS_SUITES] = {
    {"TLS_AES_128_GCM_SHA256", "AES-128-GCM", "SHA2-256", 16, 32},
    {"TLS_AES_256_GCM_SHA384", "AES-256-GCM", "SHA2-384", 32, 48},
    {"TLS_CHACHA20_POLY1305_SHA256", "ChaCha20-Poly1305", "SHA2-256", 32, 32},
};

static const struct suite *suite_of(unsigned number)
{
    unsigned i = number - FIRST_SUITE;
    return i < TLS_SUITES ? &suites[i] : NULL;
}

const char *tls_suite_name(unsigned suite)
{
    const struct suite *s = suite_of(suite);
    return s ? s->name : NULL;
}

size_t tls_suite_secret_bytes(unsigned suite)
{
    const struct suite *s = suite_of(suite);
    return s ? s->secret_bytes : 0;
}

/* ---- the contexts of a thread ---- */

struct tls_ciphers *tls_ciphers_new(unsigned contexts)
{
    assert(contexts > 0 && contexts <= UINT16_MAX);
    struct tls_ciphers *c = calloc(1, sizeof(*c) + contexts * sizeof(c->slots[0]));
    if (!c)
        return NULL;
    c->count = contexts;
    c->records_per_key = TLS_RECORDS_PER_KEY;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    c->hkdf = EVP_KDF_CTX_new(kdf); /* of NULL it makes NULL */
    EVP_KDF_free(kdf);
    bool whole = c->hkdf != NULL;
    for (unsigned i = 0; i < TLS_SUITES; i++) {
        c->ciphers[i] = EVP_CIPHER_fetch(NULL, suites[i].cipher, NULL);
        whole = whole && c->ciphers[i];
    }
    if (whole)
        return c;
    tls_ciphers_free(c);
    return NULL;
}

void tls_ciphers_free(struct tls_ciphers *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->count; i++)
        EVP_CIPHER_CTX_free(c->slots[i].context);
    for (unsigned i = 0; i < TLS_SUITES; i++)
        EVP_CIPHER_free(c->ciphers[i]);
    EVP_KDF_CTX_free(c->hkdf);
    free(c);
}

static struct tls_cipher_slot *oldest(struct tls_ciphers *c, uint16_t *at)
{
    for (;;) {
        struct tls_cipher_slot *slot = &c->slots[c->hand];
        *at = (uint16_t)c->hand;
        c->hand = c->hand + 1 < c->count ? c->hand + 1 : 0;
        if (!slot->recent)
            return slot;
        slot->recent = false;
    }
}

static bool put_key(struct tls_ciphers *c, struct tls_cipher_slot *slot,
                    const struct tls_keys *keys)
{
    if (!slot->context)
        slot->context = EVP_CIPHER_CTX_new();
    if (!slot->context)
        return false;
    const EVP_CIPHER *cipher = NULL; /* a context that has it already keeps it */
    if (slot->suite != keys->suite)
        cipher = c->ciphers[keys->suite - FIRST_SUITE];
    slot->suite = 0;
    if (EVP_CipherInit_ex2(slot->context, cipher, keys->key, NULL, keys->seals, NULL) != 1)
        return false;
    slot->suite = keys->suite;
    return true;
}

struct evp_cipher_ctx_st *tls_keys_context(struct tls_keys *keys, struct tls_ciphers *c)
{
    struct tls_cipher_slot *slot = &c->slots[keys->slot];
    if (slot->owner == keys) {
        slot->recent = true;
        return slot->context;
    }
    /* It is not recent yet: a connection that comes once, and there are many of those, displaces
     * none that comes again and again. */
    slot = oldest(c, &keys->slot);
    slot->owner = NULL;
    if (!put_key(c, slot, keys))
        return NULL;
    slot->owner = keys;
    return slot->context;
}

/* Clears the context that has these keys, if one does. */
static void forget(const struct tls_keys *keys, struct tls_ciphers *c)
{
    struct tls_cipher_slot *slot = &c->slots[keys->slot];
    if (slot->owner != keys)
        return;
    EVP_CIPHER_CTX_reset(slot->context); /* clears what the provider holds */
    slot->owner = NULL;
    slot->suite = 0;
    slot->recent = false;
}

/* ---- keys ---- */

/* HKDF-Expand-Label(secret, label, "", len), RFC 8446 §7.1. */
static bool expand_label(struct tls_ciphers *c, const struct suite *suite, const uint8_t *secret,
                         const char *label, uint8_t *out, size_t len)
{
    uint8_t info[LABEL_MAX];
    size_t label_len = strlen(label);
    assert(4 + label_len + 6 <= sizeof(info));
    info[0] = 0;
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(6 + label_len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0; /* no context */
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)suite->digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, suite->secret_bytes),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, 10 + label_len),
        OSSL_PARAM_construct_end(),
    };
    bool derived = EVP_KDF_derive(c->hkdf, out, len, params) == 1;
    EVP_KDF_CTX_reset(c->hkdf); /* clears its copy of the secret */
    return derived;
}

int tls_keys_init(struct tls_keys *keys, struct tls_ciphers *c, unsigned suite, bool seals,
                  const uint8_t *secret)
{
    const struct suite *s = suite_of(suite);
    assert(s);
    *keys = (struct tls_keys){.suite = (uint16_t)suite, .seals = seals};
    memcpy(keys->secret, secret, s->secret_bytes);
    if (expand_label(c, s, secret, "key", keys->key, s->key_bytes) &&
        expand_label(c, s, secret, "iv", keys->iv, TLS_IV_BYTES))
        return 0;
    OPENSSL_cleanse(keys, sizeof(*keys));
    return ERR_MEMORY;
}

int tls_keys_update(struct tls_keys *keys, struct tls_ciphers *c)
{
    const struct suite *s = suite_of(keys->suite);
    uint8_t secret[TLS_SECRET_MAX];
    struct tls_keys next = {0};
    int failed = ERR_MEMORY;
    if (expand_label(c, s, keys->secret, "traffic upd", secret, s->secret_bytes))
        failed = tls_keys_init(&next, c, keys->suite, keys->seals, secret);
    if (!failed) {
        forget(keys, c);
        *keys = next;
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(&next, sizeof(next));
    return failed;
}

void tls_keys_deinit(struct tls_keys *keys, struct tls_ciphers *c)
{
    if (keys->suite != 0)
        forget(keys, c);
    OPENSSL_cleanse(keys, sizeof(*keys));
}
