/* The keys of session tickets, and their change. */
#include "transport/tls_ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { SECOND_MS = 1000 };

static bool make(struct tls_ticket_key *key)
{
    struct tls_ticket_key made = {.born_ms = clock_monotonic_ms()};
    bool random = RAND_bytes(made.name, sizeof(made.name)) == 1 &&
                  RAND_priv_bytes(made.aes, sizeof(made.aes)) == 1 &&
                  RAND_priv_bytes(made.hmac, sizeof(made.hmac)) == 1;
    if (random)
        *key = made;
    OPENSSL_cleanse(&made, sizeof(made));
    return random;
}

/* Under the lock. Wipes the key before the current one when its time is over, and puts a new one in
 * the place of one that is too old to seal. Without randomness the current one goes on. */
static void change(struct tls_ticket_keys *k)
{
    const uint64_t seals_ms = (uint64_t)TLS_TICKET_KEY_SECONDS * SECOND_MS;
    const uint64_t opens_ms = seals_ms + (uint64_t)TLS_TICKET_KEY_OLD_SECONDS * SECOND_MS;
    uint64_t now_ms = clock_monotonic_ms();
    struct tls_ticket_key next;
    if (now_ms - k->locked.current.born_ms >= seals_ms && make(&next)) {
        k->locked.old = k->locked.current;
        k->locked.current = next;
        OPENSSL_cleanse(&next, sizeof(next));
    }
    if (k->locked.old.born_ms && now_ms - k->locked.old.born_ms >= opens_ms)
        OPENSSL_cleanse(&k->locked.old, sizeof(k->locked.old));
}

/* The key that seals, or the one of this name; false: there is none any more. */
static bool find(struct tls_ticket_keys *k, const unsigned char *name, struct tls_ticket_key *out,
                 bool *is_old)
{
    pthread_mutex_lock(&k->lock);
    change(k);
    bool is_current = !name || memcmp(name, k->locked.current.name, TLS_TICKET_NAME_BYTES) == 0;
    *is_old = !is_current && k->locked.old.born_ms &&
              memcmp(name, k->locked.old.name, TLS_TICKET_NAME_BYTES) == 0;
    if (is_current || *is_old)
        *out = is_current ? k->locked.current : k->locked.old;
    pthread_mutex_unlock(&k->lock);
    return is_current || *is_old;
}

static bool set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof(key->hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static int seal(struct tls_ticket_key *key, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    memcpy(name, key->name, TLS_TICKET_NAME_BYTES);
    bool ready = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
                 EVP_EncryptInit_ex2(cipher, aes, key->aes, iv, NULL) == 1 && set_mac(mac, key);
    return ready ? TLS_TICKET_GOOD : TLS_TICKET_FAILED;
}

static int unseal(struct tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                  EVP_MAC_CTX *mac)
{
    bool ready = EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->aes, iv, NULL) == 1 &&
                 set_mac(mac, key);
    return ready ? TLS_TICKET_GOOD : TLS_TICKET_FAILED;
}

int tls_ticket_keys_apply(struct tls_ticket_keys *k, unsigned char *name, unsigned char *iv,
                          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool sealing)
{
    struct tls_ticket_key key;
    bool is_old;
    if (!find(k, sealing ? NULL : name, &key, &is_old))
        return TLS_TICKET_UNKNOWN;
    int status = sealing ? seal(&key, name, iv, cipher, mac) : unseal(&key, iv, cipher, mac);
    OPENSSL_cleanse(&key, sizeof(key));
    return status == TLS_TICKET_GOOD && is_old ? TLS_TICKET_RENEW : status;
}

struct tls_ticket_keys *tls_ticket_keys_new(void)
{
    struct tls_ticket_keys *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->references = 1;
    pthread_mutex_init(&k->lock, NULL);
    if (make(&k->locked.current))
        return k;
    tls_ticket_keys_unref(k);
    return NULL;
}

struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *k)
{
    atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
    return k;
}

void tls_ticket_keys_unref(struct tls_ticket_keys *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&k->lock);
    OPENSSL_cleanse(&k->locked, sizeof(k->locked));
    free(k);
}
