/* OpenSSL's reads and writes: from and to the stage of the call, or else the socket. */
#include "transport/tls_bio.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/error.h"
#include "transport/tls_session.h"

int tls_bio_flush(struct tls_session *s)
{
    struct tls_stage *stage = s->stage;
    size_t len = stage->out_len;
    stage->out_len = 0;
    return len > 0 ? tls_push(s, stage->out, len) : 0;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls_session *s = BIO_get_data(bio);
    struct tls_stage *stage = s->stage;
    size_t left = len > 0 ? (size_t)len : 0;
    BIO_clear_retry_flags(bio);
    if (s->failure)
        return -1;
    if (!stage || !stage->out)
        return tls_push(s, (const uint8_t *)data, left) ? -1 : len;
    assert(stage->out_len <= stage->out_cap);
    if (left > stage->out_cap - stage->out_len && tls_bio_flush(s))
        return -1;
    if (left > stage->out_cap)
        return tls_push(s, (const uint8_t *)data, left) ? -1 : len;
    memcpy(stage->out + stage->out_len, data, left);
    stage->out_len += left;
    return len;
}

static int bio_read(BIO *bio, char *into, int len)
{
    struct tls_session *s = BIO_get_data(bio);
    struct tls_stage *stage = s->stage;
    BIO_clear_retry_flags(bio);
    if (!stage || !stage->in) {
        ssize_t n = tls_receive(s, into, (size_t)len);
        if (n == ERR_AGAIN)
            BIO_set_retry_read(bio);
        return n >= 0 ? (int)n : -1;
    }
    size_t n = stage->in_len < (size_t)len ? stage->in_len : (size_t)len;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(into, stage->in, n);
    stage->in += n;
    stage->in_len -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    const struct tls_session *s = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return s->ended;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    /* BIO_get_new_index() has only some hundred to give, and each reload would use one up. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "moonwire socket");
    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_ctrl))
        return method;
    BIO_meth_free(method);
    return NULL;
}

bool tls_bio_attach(struct tls_session *s, BIO_METHOD *method)
{
    BIO *bio = BIO_new(method);
    if (!bio)
        return false;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    return true;
}

struct tls_session *tls_bio_session(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}
