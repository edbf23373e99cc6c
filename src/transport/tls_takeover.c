/* Notes what OpenSSL tells in a handshake, and makes traffic of it. */
#include "transport/tls_takeover.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/tls_bio.h"
#include "transport/tls_session.h"

enum { CLIENT_RANDOM_BYTES = 32 };

struct secret {
    uint8_t bytes[TLS_SECRET_MAX];
    size_t len;       /* 0: not known yet */
    unsigned records; /* headers reported since then */
};

struct tls_takeover {
    struct tls_ciphers **ciphers;
    struct secret in, out;
    bool odd; /* something came that is not expected */
};

static void forget(struct tls_takeover *t)
{
    OPENSSL_cleanse(t, sizeof(*t));
    free(t);
}

void tls_takeover_forget(struct tls_session *s)
{
    if (s->takeover)
        forget(s->takeover);
    s->takeover = NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The secret at the end of a line: "NAME <client random> <secret>", in hexadecimal. */
static bool read_secret(const char *line, struct secret *out)
{
    const char *hex = strrchr(line, ' ') + 1;
    size_t digits = strlen(hex);
    if (digits % 2 != 0 || digits / 2 > sizeof(out->bytes))
        return false;
    for (size_t i = 0; i < digits / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    out->len = digits / 2;
    out->records = 0;
    return true;
}

void tls_takeover_note_secret(const struct ssl_st *ssl, const char *line)
{
    static const char in[] = "CLIENT_TRAFFIC_SECRET_0 ", out[] = "SERVER_TRAFFIC_SECRET_0 ";
    struct tls_takeover *t = tls_bio_session(ssl)->takeover;
    bool is_in = strncmp(line, in, sizeof(in) - 1) == 0;
    if (!t || (!is_in && strncmp(line, out, sizeof(out) - 1) != 0))
        return;
    struct secret *secret = is_in ? &t->in : &t->out;
    if (secret->len > 0 || !read_secret(line, secret))
        t->odd = true;
}

/* OpenSSL reports the header of each record that it makes and reads, at that moment; and a secret
 * at the moment when it begins to use it. */
static void note_record(int writes, int version, int content, const void *data, size_t len,
                        SSL *ssl, void *argument)
{
    (void)version, (void)ssl;
    struct tls_takeover *t = argument;
    struct secret *secret = writes ? &t->out : &t->in;
    if (content != SSL3_RT_HEADER || secret->len == 0)
        return;
    secret->records++;
    if (len < 1 || *(const uint8_t *)data != SSL3_RT_APPLICATION_DATA)
        t->odd = true; /* it is not protected, so it has no sequence number */
}

void tls_takeover_begin(struct tls_session *s, struct tls_ciphers **ciphers)
{
    assert(s->ssl && !s->takeover);
    struct tls_takeover *t = calloc(1, sizeof(*t));
    if (!t)
        return;
    t->ciphers = ciphers;
    s->takeover = t;
    SSL_set_msg_callback(s->ssl, note_record);
    SSL_set_msg_callback_arg(s->ssl, t);
}

/* Returns the suite if records of our own can follow those of this SSL, else 0. */
static unsigned suite_to_take(const struct tls_session *s, const struct tls_takeover *t)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);
    unsigned suite = cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0;
    size_t len = tls_suite_secret_bytes(suite);
    if (SSL_version(s->ssl) != TLS1_3_VERSION || len == 0 || t->in.len != len || t->out.len != len)
        return 0;
    /* The peer has asked for records shorter than ours (RFC 6066 §4): OpenSSL keeps to that. */
    if (SSL_SESSION_get_max_fragment_length(SSL_get_session(s->ssl)) != 0)
        return 0;
    /* Nothing of the peer's data was read: neither by OpenSSL, nor into its buffer. */
    bool untouched = t->in.records == 0 && !SSL_has_pending(s->ssl);
    return untouched && !t->odd && !SSL_in_init(s->ssl) ? suite : 0;
}

static struct tls_traffic *make_traffic(const struct tls_takeover *t, unsigned suite)
{
    if (!*t->ciphers)
        *t->ciphers = tls_ciphers_new(TLS_CIPHER_CONTEXTS);
    struct tls_traffic *traffic = *t->ciphers ? malloc(sizeof(*traffic)) : NULL;
    if (traffic && tls_traffic_init(traffic, *t->ciphers, suite, t->in.bytes, t->out.bytes) == 0) {
        traffic->out.sequence = t->out.records; /* the ticket was in one */
        return traffic;
    }
    free(traffic);
    return NULL;
}

void tls_takeover_finish(struct tls_session *s)
{
    assert(s->takeover && !s->in_progress);
    struct tls_takeover *t = s->takeover;
    unsigned suite = suite_to_take(s, t);
    s->takeover = NULL;
    SSL_set_msg_callback(s->ssl, NULL);
    s->traffic = suite ? make_traffic(t, suite) : NULL;
    forget(t);
    tls_clear_errors();
    if (!s->traffic)
        return;
    s->resumed = SSL_session_reused(s->ssl) == 1;
    /* The connection shall look as if it had ended well: when one broke off, OpenSSL searches its
     * cache for the session, to forget it. */
    SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    s->ssl = NULL;
}
