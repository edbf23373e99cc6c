/* One record of TLS 1.3: nonce, header, encryption, padding. */
#include "transport/tls_record.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/error.h"

enum {
    VERSION = 0x0303, /* of every record, §5.2 */
    INNER_MAX = TLS_RECORD_PLAIN_MAX + 1,
    DIRECT_BYTES = 1024 /* shorter pieces are put together before they are encrypted */
};

int tls_record_body(const uint8_t header[TLS_RECORD_HEADER_BYTES])
{
    int len = header[3] << 8 | header[4];
    if (header[0] != TLS_CONTENT_DATA)
        return -TLS_ALERT_UNEXPECTED_MESSAGE;
    if ((header[1] << 8 | header[2]) != VERSION)
        return -TLS_ALERT_PROTOCOL_VERSION;
    return len <= TLS_RECORD_BODY_MAX ? len : -TLS_ALERT_RECORD_OVERFLOW;
}

/* §5.3: the IV, exclusive-or the sequence number in network order, padded on the left. */
static void make_nonce(const struct tls_keys *keys, uint8_t nonce[TLS_IV_BYTES])
{
    memcpy(nonce, keys->iv, TLS_IV_BYTES);
    for (unsigned i = 0; i < 8; i++)
        nonce[TLS_IV_BYTES - 1 - i] ^= (uint8_t)(keys->sequence >> 8 * i);
}

/* A context that is ready for the next record of these keys and has seen its header. NULL: out of
 * memory, or there are no more sequence numbers. */
static EVP_CIPHER_CTX *begin(struct tls_keys *keys, struct tls_ciphers *c, const uint8_t *header)
{
    uint8_t nonce[TLS_IV_BYTES];
    int n;
    make_nonce(keys, nonce);
    EVP_CIPHER_CTX *ctx = keys->sequence < UINT64_MAX ? tls_keys_context(keys, c) : NULL;
    if (ctx && EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) == 1 &&
        EVP_CipherUpdate(ctx, NULL, &n, header, TLS_RECORD_HEADER_BYTES) == 1)
        return ctx;
    return NULL;
}

/* Decrypts a body of len bytes and the tag behind it. Returns 0 or the alert, negative. */
static int decrypt(EVP_CIPHER_CTX *ctx, const uint8_t *body, size_t len, uint8_t *into)
{
    int n = 0, last = 0;
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TLS_RECORD_TAG_BYTES,
                            (void *)(body + len)) != 1)
        return -TLS_ALERT_INTERNAL_ERROR;
    if ((len == 0 || EVP_DecryptUpdate(ctx, into, &n, body, (int)len) == 1) &&
        EVP_DecryptFinal_ex(ctx, into + n, &last) == 1)
        return 0;
    OPENSSL_cleanse(into, len);
    return -TLS_ALERT_BAD_RECORD_MAC;
}

/* §5.2, §5.4: inside are content, type and zeros. Returns 0 or the alert, negative. */
static int look_inside(const uint8_t *inner, size_t len, struct tls_record *out)
{
    if (len > INNER_MAX)
        return -TLS_ALERT_RECORD_OVERFLOW;
    while (len > 0 && inner[len - 1] == 0)
        len--;
    if (len == 0)
        return -TLS_ALERT_UNEXPECTED_MESSAGE;
    *out = (struct tls_record){.len = len - 1, .type = inner[len - 1]};
    return 0;
}

int tls_record_open(struct tls_keys *keys, struct tls_ciphers *c, const uint8_t *record,
                    size_t body_len, uint8_t *into, struct tls_record *out)
{
    assert(body_len <= TLS_RECORD_BODY_MAX);
    if (body_len < TLS_RECORD_TAG_BYTES)
        return -TLS_ALERT_BAD_RECORD_MAC;
    size_t len = body_len - TLS_RECORD_TAG_BYTES;
    EVP_CIPHER_CTX *ctx = begin(keys, c, record);
    if (!ctx)
        return -TLS_ALERT_INTERNAL_ERROR;
    int failed = decrypt(ctx, record + TLS_RECORD_HEADER_BYTES, len, into);
    if (failed)
        return failed;
    keys->sequence++;
    failed = look_inside(into, len, out);
    if (failed)
        OPENSSL_cleanse(into, len);
    return failed;
}

/* How many bytes of the pieces the next record takes. */
static size_t bytes_ahead(const struct tls_pieces *at)
{
    size_t n = 0;
    for (int i = 0; i < at->left && n < TLS_RECORD_PLAIN_MAX; i++)
        n += at->piece[i].iov_len - (i == 0 ? at->offset : 0);
    return n < TLS_RECORD_PLAIN_MAX ? n : TLS_RECORD_PLAIN_MAX;
}

static bool encrypt(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *from, size_t len)
{
    int n;
    return EVP_EncryptUpdate(ctx, out, &n, from, (int)len) == 1;
}

/* Encrypts len bytes of the pieces and the type: large ones from where they are, small ones with
 * their neighbours, since every call costs as much as some hundred bytes. */
static bool encrypt_pieces(EVP_CIPHER_CTX *ctx, uint8_t *out, struct tls_pieces *at, size_t len,
                           uint8_t type)
{
    size_t done = 0, copied = 0;
    while (copied < len) {
        tls_pieces_advance(at, 0);
        const uint8_t *from = (const uint8_t *)at->piece->iov_base + at->offset;
        size_t n = at->piece->iov_len - at->offset;
        n = n < len - copied ? n : len - copied;
        if (n < DIRECT_BYTES) {
            memcpy(out + copied, from, n);
        } else {
            if (copied > done && !encrypt(ctx, out + done, out + done, copied - done))
                return false;
            if (!encrypt(ctx, out + copied, from, n))
                return false;
            done = copied + n;
        }
        copied += n;
        tls_pieces_advance(at, n);
    }
    out[copied++] = type;
    return encrypt(ctx, out + done, out + done, copied - done);
}

long tls_record_seal(struct tls_keys *keys, struct tls_ciphers *c, enum tls_content type,
                     struct tls_pieces *at, uint8_t *out)
{
    size_t len = bytes_ahead(at);
    size_t body = len + 1 + TLS_RECORD_TAG_BYTES;
    const uint8_t header[] = {TLS_CONTENT_DATA, VERSION >> 8, VERSION & 0xff, (uint8_t)(body >> 8),
                              (uint8_t)body};
    memcpy(out, header, sizeof(header));
    out += sizeof(header);
    EVP_CIPHER_CTX *ctx = begin(keys, c, header);
    int n;
    if (!ctx || !encrypt_pieces(ctx, out, at, len, (uint8_t)type) ||
        EVP_EncryptFinal_ex(ctx, out + len + 1, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_RECORD_TAG_BYTES, out + len + 1) != 1)
        return ERR_MEMORY;
    keys->sequence++;
    return (long)(sizeof(header) + body);
}

long tls_record_seal_bytes(struct tls_keys *keys, struct tls_ciphers *c, enum tls_content type,
                           const void *data, size_t len, uint8_t *out)
{
    assert(len <= TLS_RECORD_PLAIN_MAX);
    struct iovec piece = {(void *)data, len};
    struct tls_pieces at = {.piece = &piece, .left = 1};
    return tls_record_seal(keys, c, type, &at, out);
}
