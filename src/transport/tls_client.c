/* The client's side: its contexts, whom it believes, and the sentence when it refuses a server. */
#include "transport/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "transport/tls_bio.h"
#include "transport/tls_session.h"

enum {
    CONTEXTS_MAX = 16, /* one more, and the cache begins anew */
    NAME_MAX_BYTES = 253,
    NAMES_SAID = 3 /* of a certificate */
};

/* ---- why a server was not believed ---- */

static void say(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* When out of memory, the text stays as it is. */
static void say(struct buffer *out, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t n = len < 0 ? 0 : (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    (void)!buffer_append(out, text, n);
}

static void say_date(struct buffer *out, const char *what, const ASN1_TIME *time)
{
    struct tm day;
    if (time && ASN1_TIME_to_tm(time, &day))
        say(out, "%s %04d-%02d-%02d", what, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
    else
        say(out, "%s a date that cannot be read", what);
}

/* A name in a certificate is what its maker wrote: only what a host name may hold is repeated. */
static bool is_plain(const unsigned char *name, int len)
{
    for (int i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] >= 0x7f)
            return false;
    return len > 0 && len <= NAME_MAX_BYTES;
}

/* ": it is for localhost, *.example.org" */
static void say_names(struct buffer *out, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int said = 0;
    if (!names)
        say(out, ": it has no subjectAltName, and its common name does not count (RFC 9525)");
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && said <= NAMES_SAID; i++) {
        int kind;
        const ASN1_STRING *name = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
        if (kind != GEN_DNS || !is_plain(ASN1_STRING_get0_data(name), ASN1_STRING_length(name)))
            continue;
        if (said < NAMES_SAID)
            say(out, "%s%.*s", said ? ", " : ": it is for ", ASN1_STRING_length(name),
                (const char *)ASN1_STRING_get0_data(name));
        else
            say(out, ", …");
        said++;
    }
    GENERAL_NAMES_free(names);
}

static void say_reason(struct buffer *out, X509_STORE_CTX *chain)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
    int error = X509_STORE_CTX_get_error(chain);
    if (X509_STORE_CTX_get_error_depth(chain) > 0 &&
        (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID))
        say(out, " is signed by one that");
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say_date(out, " has expired on", certificate ? X509_get0_notAfter(certificate) : NULL);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say_date(out, " is not valid before",
                 certificate ? X509_get0_notBefore(certificate) : NULL);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        say(out, " does not match the host name");
        if (certificate)
            say_names(out, certificate);
        break;
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say(out, " does not match the address");
        if (certificate)
            say_names(out, certificate);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        say(out, " is signed by itself, not by a known authority");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        say(out, " is signed by an unknown authority");
        break;
    default:
        say(out, " is not accepted: %s", X509_verify_cert_error_string(error));
        break;
    }
}

static void say_host(struct buffer *out, SSL *ssl)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    const char *name = X509_VERIFY_PARAM_get0_host(wanted, 0);
    char *address = name ? NULL : X509_VERIFY_PARAM_get1_ip_asc(wanted);
    say(out, "the certificate of %s", name ? name : address ? address : "the server");
    OPENSSL_free(address);
}

/* OpenSSL forgets the certificate that it refused, so the sentence is made here and waits at the
 * session. */
static int on_verify(int ok, X509_STORE_CTX *chain)
{
    if (ok)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = tls_bio_session(ssl);
    if (s->refusal)
        return 0;
    struct buffer text = {0};
    say_host(&text, ssl);
    say_reason(&text, chain);
    if (buffer_append(&text, "", 1) < 0)
        buffer_deinit(&text);
    s->refusal = (char *)text.data;
    return 0;
}

/* ---- sessions to resume ---- */

/* OpenSSL has a session for later: with TLS 1.3 when the server sent it, after the handshake. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_session *s = tls_bio_session(ssl);
    if (!s->peer)
        return 0;
    tls_tickets_keep(&s->context->tickets, s->peer, session);
    return 1; /* the reference is ours */
}

/* A resumed session of TLS 1.2 brings no new one, so it is kept for the next time. */
static void on_state(const SSL *ssl, int where, int value)
{
    (void)value;
    if (!(where & SSL_CB_HANDSHAKE_DONE) || !SSL_session_reused(ssl) ||
        SSL_version(ssl) >= TLS1_3_VERSION)
        return;
    const struct tls_session *s = tls_bio_session(ssl);
    if (s->peer && !tls_tickets_has(&s->context->tickets, s->peer))
        tls_tickets_keep(&s->context->tickets, s->peer, SSL_get1_session((SSL *)(uintptr_t)ssl));
}

/* ---- contexts ---- */

static bool configure(SSL_CTX *ctx, bool insecure)
{
    static const unsigned char http_1_1[] = "\x08http/1.1"; /* RFC 7301 §3.1 */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_info_callback(ctx, on_state);
    SSL_CTX_set_verify(ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
    X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(ctx);
    /* RFC 9525 §2: only subjectAltName names a server, never the common name. */
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    /* Whatever is in ca_file is trusted, be it a root or not. */
    X509_VERIFY_PARAM_set_flags(verify, X509_V_FLAG_PARTIAL_CHAIN);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
           SSL_CTX_set_alpn_protos(ctx, http_1_1, sizeof(http_1_1) - 1) == 0;
}

static bool load_files(SSL_CTX *ctx, const struct tls_client_options *o, char why[TLS_WHY_BYTES])
{
    const struct tls_certificate own = {o->cert_file, o->key_file};
    if (o->ca_file && SSL_CTX_load_verify_file(ctx, o->ca_file) != 1) {
        bool readable = access(o->ca_file, R_OK) == 0;
        snprintf(why, TLS_WHY_BYTES,
                 readable ? "%s holds no certificate in PEM form"
                          : "cannot read the authorities' file %s",
                 o->ca_file);
        return false;
    }
    if (!o->ca_file && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        snprintf(why, TLS_WHY_BYTES, "the system's certificate authorities cannot be read");
        return false;
    }
    return !o->cert_file || tls_context_use_pair(ctx, &own, why);
}

static struct tls_context *context_new(const struct tls_client_options *o, char why[TLS_WHY_BYTES])
{
    why[0] = '\0';
    ERR_clear_error();
    struct tls_context *c = tls_context_alloc(1);
    SSL_CTX *ctx = c ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (ctx)
        c->by_certificate[c->count++] = ctx;
    if (!ctx || !configure(ctx, o->insecure))
        snprintf(why, TLS_WHY_BYTES, "out of memory");
    else if (load_files(ctx, o, why))
        return c;
    ERR_clear_error();
    tls_context_unref(c);
    return NULL;
}

/* ---- the cache ---- */

void tls_client_cache_init(struct tls_client_cache *cache)
{
    map_init(&cache->contexts);
}

void tls_client_cache_deinit(struct tls_client_cache *cache)
{
    size_t at = 0;
    struct map_entry entry;
    while (map_next(&cache->contexts, &at, &entry))
        tls_context_unref(entry.value);
    map_deinit(&cache->contexts);
}

/* Appends a file's name and what changes with its content. */
static int append_file(struct buffer *key, const char *path)
{
    struct stat file = {0};
    if (!path)
        return buffer_append(key, "-", 1);
    if (stat(path, &file))
        file = (struct stat){0};
    return buffer_printf(key, "%s|%llu.%lld.%lld.%ld|", path, (unsigned long long)file.st_ino,
                         (long long)file.st_size, (long long)file.st_mtim.tv_sec,
                         file.st_mtim.tv_nsec);
}

static struct tls_context *find_or_make(struct tls_client_cache *cache, const struct buffer *key,
                                        const struct tls_client_options *options,
                                        char why[TLS_WHY_BYTES])
{
    struct tls_context *c = map_get(&cache->contexts, key->data, key->len);
    if (c)
        return c;
    if (cache->contexts.count >= CONTEXTS_MAX) {
        tls_client_cache_deinit(cache);
        tls_client_cache_init(cache);
    }
    c = context_new(options, why);
    if (c && map_put(&cache->contexts, key->data, key->len, c) < 0) {
        tls_context_unref(c);
        snprintf(why, TLS_WHY_BYTES, "out of memory");
        c = NULL;
    }
    return c;
}

struct tls_context *tls_client_context(struct tls_client_cache *cache,
                                       const struct tls_client_options *options,
                                       char why[TLS_WHY_BYTES])
{
    struct buffer key = {0};
    struct tls_context *c = NULL;
    if (buffer_append(&key, options->insecure ? "i" : "v", 1) < 0 ||
        append_file(&key, options->ca_file) < 0 || append_file(&key, options->cert_file) < 0 ||
        append_file(&key, options->key_file) < 0)
        snprintf(why, TLS_WHY_BYTES, "out of memory");
    else
        c = find_or_make(cache, &key, options, why);
    buffer_deinit(&key);
    return c;
}

/* ---- sessions ---- */

static bool expect_host(SSL *ssl, const char *host, bool is_address)
{
    char name[NAME_MAX_BYTES + 1];
    size_t len = strlen(host);
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    if (len > 0 && host[len - 1] == '.') /* RFC 6066 §3: without the dot at the end */
        len--;
    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct tls_session *tls_connect(struct tls_context *c, int fd, const char *host, bool is_address,
                                unsigned port)
{
    struct tls_session *s = tls_new(c, fd);
    if (!s)
        return NULL;
    SSL_set_connect_state(s->ssl);
    if (!expect_host(s->ssl, host, is_address)) {
        tls_free(s);
        return NULL;
    }
    struct buffer peer = {0};
    if (buffer_printf(&peer, "%s:%u", host, port) < 0 || buffer_append(&peer, "", 1) < 0) {
        buffer_deinit(&peer); /* without memory nothing is resumed */
        return s;
    }
    s->peer = (char *)peer.data;
    tls_tickets_offer(&c->tickets, s->peer, s->ssl);
    return s;
}
