/* Certificates, their names (SNI), and the settings of a server's connections. */
#include "transport/tls_context.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/tls_bio.h"
#include "transport/tls_session.h"
#include "transport/tls_takeover.h"
#include "transport/tls_ticket_keys.h"

enum { NAME_MAX_BYTES = 253 };

/* TLS 1.2 suites with forward secrecy and authenticated encryption only (RFC 9325 §4.2). */
static const char tls_1_2_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char http_1_1[] = "\x08http/1.1"; /* RFC 7301 §3.1 */
/* It is one for all, so that tickets of one certificate's SSL_CTX are good in the others. */
static const unsigned char session_id_context[] = "moonwire";

static void say(char why[TLS_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(char why[TLS_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, TLS_WHY_BYTES, format, arguments);
    va_end(arguments);
}

/* OpenSSL's reason for what just failed, or the text given. Empties its queue. */
static const char *reason_or(const char *otherwise)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text ? text : otherwise;
}

/* ---- certificates and keys ---- */

static FILE *open_file(const char *what, const char *path, char why[TLS_WHY_BYTES])
{
    FILE *file = fopen(path, "re");
    if (!file)
        say(why, "cannot read the %s %s: %s", what, path, strerrordesc_np(errno));
    return file;
}

/* An encrypted key must fail at start, not ask on the terminal. *asked: it is encrypted. */
static int no_passphrase(char *into, int len, int writing, void *asked)
{
    (void)into, (void)len, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static EVP_PKEY *read_key(const char *path, char why[TLS_WHY_BYTES])
{
    FILE *file = open_file("key", path, why);
    if (!file)
        return NULL;
    bool asked = false;
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_passphrase, &asked);
    fclose(file);
    if (!key && asked)
        say(why,
            "the key %s is encrypted: write it without a passphrase (openssl pkey -in … -out …)",
            path);
    else if (!key)
        say(why, "%s holds no private key in PEM form", path);
    ERR_clear_error();
    return key;
}

static bool at_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* The certificates of one file: the first is the own one, its chain follows. NULL with why. */
static STACK_OF(X509) * read_certificates(const char *path, char why[TLS_WHY_BYTES])
{
    FILE *file = open_file("certificate", path, why);
    if (!file)
        return NULL;
    STACK_OF(X509) *all = sk_X509_new_null();
    X509 *next;
    bool pushed = true;
    while (all && pushed && (next = PEM_read_X509_AUX(file, NULL, NULL, NULL))) {
        pushed = sk_X509_push(all, next) > 0;
        if (!pushed)
            X509_free(next);
    }
    fclose(file);
    bool whole = pushed && at_end_of_pem();
    ERR_clear_error();
    if (all && whole && sk_X509_num(all) > 0)
        return all;
    say(why,
        all && whole ? "%s holds no certificate in PEM form"
                     : "the certificate %s is damaged: it is not whole PEM",
        path);
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

/* Leaves why alone if the certificate is valid now. */
static void warn_of_dates(X509 *certificate, const char *path, char why[TLS_WHY_BYTES])
{
    struct tm day;
    const ASN1_TIME *from = X509_get0_notBefore(certificate);
    const ASN1_TIME *until = X509_get0_notAfter(certificate);
    if (X509_cmp_current_time(until) < 0 && ASN1_TIME_to_tm(until, &day))
        say(why, "the certificate %s expired on %04d-%02d-%02d: clients will refuse it", path,
            day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
    else if (X509_cmp_current_time(from) > 0 && ASN1_TIME_to_tm(from, &day))
        say(why, "the certificate %s is not valid before %04d-%02d-%02d: clients will refuse it",
            path, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
    ERR_clear_error();
}

static bool use_pair(SSL_CTX *ctx, STACK_OF(X509) * certificates, EVP_PKEY *key,
                     const struct tls_certificate *paths, char why[TLS_WHY_BYTES])
{
    const char *key_path = paths->key_path ? paths->key_path : paths->cert_path;
    X509 *own = sk_X509_value(certificates, 0);
    if (!X509_check_private_key(own, key)) {
        ERR_clear_error();
        say(why, "the key %s does not belong to the certificate %s", key_path, paths->cert_path);
        return false;
    }
    bool used = SSL_CTX_use_certificate(ctx, own) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    for (int i = 1; used && i < sk_X509_num(certificates); i++)
        used = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certificates, i)) == 1;
    if (!used)
        say(why, "cannot use the certificate %s: %s", paths->cert_path,
            reason_or("OpenSSL refused it"));
    return used;
}

/* ---- names ---- */

/* Adds a name of a certificate, unless an earlier certificate has it already. */
static bool add_name(struct tls_context *c, SSL_CTX *ctx, const unsigned char *name, int len)
{
    char lower[NAME_MAX_BYTES];
    /* It is not a DNS name. A NUL inside once fooled others, so such a name never matches. */
    if (len <= 0 || len > NAME_MAX_BYTES || memchr(name, '\0', (size_t)len))
        return true;
    for (int i = 0; i < len; i++)
        lower[i] = (char)tolower(name[i]);
    if (map_get(&c->by_name, lower, (size_t)len))
        return true;
    return map_put(&c->by_name, lower, (size_t)len, ctx) == 0;
}

static bool add_common_name(struct tls_context *c, SSL_CTX *ctx, X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return true;
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool added = len < 0 || add_name(c, ctx, text, len);
    OPENSSL_free(text);
    return added;
}

/* RFC 6125 §6.4.4: the common name counts only where no subjectAltName has a DNS name. */
static bool add_names(struct tls_context *c, SSL_CTX *ctx, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool any = false, added = true;
    for (int i = 0; added && i < sk_GENERAL_NAME_num(names); i++) {
        int kind;
        const ASN1_STRING *name = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
        if (kind != GEN_DNS)
            continue;
        any = true;
        added = add_name(c, ctx, ASN1_STRING_get0_data(name), ASN1_STRING_length(name));
    }
    GENERAL_NAMES_free(names);
    if (!any)
        added = add_common_name(c, ctx, certificate);
    ERR_clear_error();
    return added;
}

static SSL_CTX *find_name(const struct tls_context *c, const char *name)
{
    char lower[NAME_MAX_BYTES + 1];
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[len] = '\0';
    SSL_CTX *found = map_get(&c->by_name, lower, len);
    char *dot = strchr(lower, '.');
    if (found || !dot || dot == lower)
        return found;
    /* "*.example.com" for "a.example.com": the star takes the first label's place. */
    dot[-1] = '*';
    return map_get(&c->by_name, dot - 1, len - (size_t)(dot - 1 - lower));
}

static int choose_certificate(SSL *ssl, int *alert, void *context)
{
    (void)alert;
    const struct tls_context *c = context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *found = name ? find_name(c, name) : NULL;
    /* An unknown name gets the default certificate: the client judges (RFC 6066 §3). */
    if (found && found != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, found))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return found ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 §3.2: no protocol in common is the fatal alert no_application_protocol. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *unused)
{
    (void)ssl, (void)unused;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, http_1_1, sizeof(http_1_1) - 1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

static bool configure(SSL_CTX *ctx, enum tls_version min_version)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_keylog_callback(ctx, tls_takeover_note_secret);
    /* Sessions live in tickets, which the client keeps, so that every worker knows them and none
     * holds memory for those who never return. One ticket instead of two: each costs a signature
     * and a record, and a browser takes a new one with every connection. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_KEY_OLD_SECONDS);
    int lowest = min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_num_tickets(ctx, 1) && SSL_CTX_set_min_proto_version(ctx, lowest) &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
           SSL_CTX_set_cipher_list(ctx, tls_1_2_ciphers) &&
           SSL_CTX_set_session_id_context(ctx, session_id_context, sizeof(session_id_context) - 1);
}

bool tls_context_use_pair(SSL_CTX *ctx, const struct tls_certificate *paths,
                          char why[TLS_WHY_BYTES])
{
    STACK_OF(X509) *certificates = read_certificates(paths->cert_path, why);
    if (!certificates)
        return false;
    EVP_PKEY *key = read_key(paths->key_path ? paths->key_path : paths->cert_path, why);
    bool used = key && use_pair(ctx, certificates, key, paths, why);
    EVP_PKEY_free(key);
    sk_X509_pop_free(certificates, X509_free);
    return used;
}

/* Loads one certificate into ctx and its names into the map. */
static bool load(struct tls_context *c, SSL_CTX *ctx, const struct tls_certificate *paths,
                 char why[TLS_WHY_BYTES])
{
    if (!tls_context_use_pair(ctx, paths, why))
        return false;
    X509 *own = SSL_CTX_get0_certificate(ctx);
    if (!add_names(c, ctx, own)) {
        say(why, "out of memory");
        return false;
    }
    warn_of_dates(own, paths->cert_path, why);
    return true;
}

static bool add_certificate(struct tls_context *c, const struct tls_certificate *paths,
                            enum tls_version min_version, char why[TLS_WHY_BYTES])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx)
        c->by_certificate[c->count++] = ctx;
    if (!ctx || !configure(ctx, min_version)) {
        say(why, "cannot set up TLS: %s", reason_or("out of memory"));
        return false;
    }
    return load(c, ctx, paths, why);
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    int result = tls_ticket_keys_apply(tls_bio_session(ssl)->context->ticket_keys, name, iv, cipher,
                                       mac, sealing != 0);
    /* A ticket of TLS 1.3 is used once (RFC 8446 §C.4), so that each connection gets a new one. */
    bool renews = result == TLS_TICKET_GOOD && !sealing && SSL_version(ssl) >= TLS1_3_VERSION;
    return renews ? TLS_TICKET_RENEW : result;
}

/* The default SSL_CTX counts: it is the one that a connection begins with. */
static bool use_ticket_keys(struct tls_context *c, const struct tls_context *previous)
{
    c->ticket_keys = previous ? tls_ticket_keys_ref(previous->ticket_keys) : tls_ticket_keys_new();
    if (c->ticket_keys)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(c->by_certificate[0], on_ticket);
    return c->ticket_keys;
}

struct tls_context *tls_context_alloc(size_t certificates)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->references = 1;
    map_init(&c->by_name);
    tls_tickets_init(&c->tickets);
    c->by_certificate = calloc(certificates, sizeof(*c->by_certificate));
    c->bio_method = tls_bio_method();
    if (c->by_certificate && c->bio_method)
        return c;
    tls_context_unref(c);
    return NULL;
}

struct tls_context *tls_context_new(const struct tls_options *options, char why[TLS_WHY_BYTES])
{
    why[0] = '\0';
    if (options->certificate_count == 0) {
        say(why, "TLS needs a certificate and its key");
        return NULL;
    }
    ERR_clear_error();
    struct tls_context *c = tls_context_alloc(options->certificate_count);
    if (!c)
        goto memory;
    for (size_t i = 0; i < options->certificate_count; i++)
        if (!add_certificate(c, &options->certificates[i], options->min_version, why))
            goto fail;
    if (!use_ticket_keys(c, options->previous))
        goto memory;
    SSL_CTX_set_tlsext_servername_callback(c->by_certificate[0], choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(c->by_certificate[0], c);
    return c;

memory:
    say(why, "out of memory");
fail:
    ERR_clear_error();
    tls_context_unref(c);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->count; i++)
        SSL_CTX_free(c->by_certificate[i]);
    free(c->by_certificate);
    BIO_meth_free(c->bio_method);
    map_deinit(&c->by_name);
    tls_tickets_deinit(&c->tickets);
    tls_ticket_keys_unref(c->ticket_keys);
    free(c);
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
