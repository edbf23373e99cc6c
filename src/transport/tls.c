/* The life of a TLS connection: its handshake, reading and writing by OpenSSL, or by records of our
 * own once they have taken over. */
#include "transport/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "transport/tls_bio.h"
#include "transport/tls_direct.h"
#include "transport/tls_session.h"
#include "transport/tls_takeover.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,              /* 16 KiB, RFC 8446 §5.1 */
    RECORD_ROOM = SSL3_RT_MAX_PLAIN_LENGTH + 256 + 5 + 3, /* encrypted, header included */
    STAGE_RECORDS = 4
};

_Static_assert((int)RECORD_ROOM >= (int)TLS_SEALED_MAX, "a record of ours has room in a stage");

/* ---- life ---- */

struct tls_session *tls_new(struct tls_context *c, int fd)
{
    ERR_clear_error();
    struct tls_session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->fd = fd;
    s->in_progress = true;
    s->context = tls_context_ref(c);
    s->ssl = SSL_new(c->by_certificate[0]);
    if (s->ssl && tls_bio_attach(s, c->bio_method))
        return s;
    tls_free(s);
    return NULL;
}

struct tls_session *tls_accept(struct tls_context *c, int fd, struct tls_ciphers **ciphers)
{
    struct tls_session *s = tls_new(c, fd);
    if (!s)
        return NULL;
    SSL_set_accept_state(s->ssl);
    if (ciphers)
        tls_takeover_begin(s, ciphers);
    return s;
}

void tls_free(struct tls_session *s)
{
    if (!s)
        return;
    assert(!s->stage);
    if (s->traffic)
        tls_traffic_deinit(s->traffic);
    free(s->traffic);
    SSL_free(s->ssl);
    ERR_clear_error();
    tls_takeover_forget(s);
    buffer_deinit(&s->unsent);
    tls_context_unref(s->context);
    free(s->refusal);
    free(s->peer);
    free(s);
}

/* ---- the handshake ---- */

/* OpenSSL's reason for what just failed. Not every 3.0 has a text for every alert of a peer. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (!text && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET)
        text = SSL_alert_desc_string_long(ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET);
    return text ? text : "TLS failed";
}

/* OpenSSL's word on a call that returned result <= 0: ERR_AGAIN; 0 for close_notify, or an end
 * without one, which is treated alike; or the failure. SSL_get_error believes whatever is in the
 * thread's queue of errors, so that has to be empty before each call. */
static int outcome(struct tls_session *s, int result)
{
    int kind = SSL_get_error(s->ssl, result);
    if (s->failure)
        return s->failure;
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return ERR_AGAIN;
    if (kind == SSL_ERROR_ZERO_RETURN || s->ended) {
        s->ended = true;
        return 0;
    }
    int why = ERR_GET_REASON(ERR_peek_error());
    s->met_http = s->in_progress && (why == SSL_R_HTTP_REQUEST || why == SSL_R_HTTPS_PROXY_REQUEST);
    return tls_fail(s, ERR_IO, reason());
}

static int handshake_step(struct tls_session *s)
{
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl);
    int err = result == 1 ? 0 : outcome(s, result);
    if (result != 1 && err == 0)
        err = tls_fail(s, ERR_IO, "the peer left during the TLS handshake");
    s->in_progress = result != 1;
    if (s->failure && s->refusal)
        s->error = s->refusal;
    ERR_clear_error();
    return err;
}

static void take_over(struct tls_session *s)
{
    tls_takeover_finish(s);
    if (s->ssl)
        return;
    tls_context_unref(s->context);
    s->context = NULL;
}

int tls_handshake(struct tls_session *s)
{
    if (s->failure)
        return ERR_IO;
    int err = tls_flush_unsent(s);
    if (err == 0 && s->in_progress) {
        uint8_t room[RECORD_ROOM];
        struct tls_stage stage = {.out = room, .out_cap = sizeof(room)};
        s->stage = &stage;
        err = handshake_step(s);
        /* It is sent after a failure too: the alert tells the peer why. */
        if (stage.out_len > 0)
            tls_push(s, room, stage.out_len);
        s->stage = NULL;
    }
    if (s->failure)
        return ERR_IO;
    if (s->takeover && !s->in_progress)
        take_over(s);
    return s->unsent.len > 0 ? ERR_AGAIN : err;
}

/* ---- reading ---- */

static long read_failed(const struct tls_session *s)
{
    return s->failure ? ERR_IO : 0;
}

/* Decrypts until nothing is staged or the connection is over. OpenSSL asks for no more bytes than
 * its record has, so when the stage is empty it would only say that it wants some. */
static long decrypt_staged(struct tls_session *s, uint8_t *into, size_t len)
{
    size_t total = 0;
    do {
        size_t n = 0;
        tls_clear_errors();
        int result = SSL_read_ex(s->ssl, into + total, len - total, &n);
        if (result != 1) {
            int err = outcome(s, result);
            tls_clear_errors();
            if (total == 0)
                return err == ERR_AGAIN ? ERR_AGAIN : read_failed(s);
            s->unreported = err != ERR_AGAIN;
            break;
        }
        total += n;
        assert(s->stage->in_len == 0 || into + total <= s->stage->in);
    } while (s->stage->in_len > 0);
    return (long)total;
}

/* One recv() into the caller's buffer, decrypted there: the ciphertext is put behind a gap as large
 * as the most that OpenSSL may hold of an unfinished record. Plaintext is shorter than its
 * ciphertext, so what has come out is never longer than the gap plus what has gone in. */
static long read_staged(struct tls_session *s, uint8_t *into, size_t len)
{
    struct tls_stage stage = {.in = into + RECORD_ROOM};
    ssize_t n = tls_receive(s, into + RECORD_ROOM, len - RECORD_ROOM);
    if (n <= 0)
        return n;
    stage.in_len = (size_t)n;
    s->stage = &stage;
    long result = decrypt_staged(s, into, len);
    s->stage = NULL;
    assert(stage.in_len == 0 || s->ended || s->failure);
    assert(SSL_pending(s->ssl) == 0 || s->ended || s->failure);
    return result;
}

long tls_read(struct tls_session *s, void *into, size_t len)
{
    assert(len >= TLS_READ_BYTES);
    s->unreported = false;
    if (s->failure || s->ended)
        return read_failed(s);
    return s->traffic ? tls_direct_read(s, into, len) : read_staged(s, into, len);
}

bool tls_pending(const struct tls_session *s)
{
    return s->unreported;
}

/* ---- writing ---- */

/* The next record's plaintext: in place if one piece has enough or is the last, else copied to
 * room. */
static struct iovec next_record(struct tls_pieces at, uint8_t room[RECORD_BYTES])
{
    const uint8_t *start = (const uint8_t *)at.piece->iov_base + at.offset;
    size_t rest = at.piece->iov_len - at.offset;
    if (rest >= RECORD_BYTES || at.left == 1)
        return (struct iovec){(void *)start, rest < RECORD_BYTES ? rest : RECORD_BYTES};
    size_t len = 0;
    while (at.left > 0 && len < RECORD_BYTES) {
        rest = at.piece->iov_len - at.offset;
        size_t step = rest < RECORD_BYTES - len ? rest : RECORD_BYTES - len;
        memcpy(room + len, (const uint8_t *)at.piece->iov_base + at.offset, step);
        len += step;
        tls_pieces_advance(&at, step);
    }
    return (struct iovec){room, len};
}

/* Encrypts one record's worth with OpenSSL, into the stage. Returns 0 or the failure. */
static int encrypt(struct tls_session *s, struct tls_pieces *at, uint8_t gathered[RECORD_BYTES])
{
    struct iovec record = next_record(*at, gathered);
    size_t taken = 0;
    tls_clear_errors();
    int result = SSL_write_ex(s->ssl, record.iov_base, record.iov_len, &taken);
    tls_pieces_advance(at, taken);
    if (result == 1)
        return 0;
    int err = outcome(s, result);
    tls_clear_errors();
    /* The socket never blocks OpenSSL, so it waits for the rest of a KeyUpdate that came in pieces.
     * Nobody splits five bytes but to make us spin on a writable socket. */
    if (err == ERR_AGAIN)
        err = tls_fail(s, ERR_IO, "the peer split a change of keys");
    return err ? err : tls_fail(s, ERR_CLOSED, "the peer closed the connection");
}

/* Encrypts and sends until all is taken or the socket is full. Returns the bytes that were
 * encrypted, or the failure. */
static long write_records(struct tls_session *s, struct tls_pieces *at)
{
    uint8_t gathered[RECORD_BYTES];
    uint8_t room[STAGE_RECORDS * RECORD_ROOM];
    struct tls_stage stage = {.out = room, .out_cap = sizeof(room)};
    int err = 0;
    s->stage = &stage;
    for (tls_pieces_advance(at, 0); at->left > 0 && !err && s->unsent.len == 0;) {
        err = s->traffic ? tls_direct_seal(s, at) : encrypt(s, at, gathered);
        if (!err && stage.out_cap - stage.out_len < RECORD_ROOM)
            err = tls_bio_flush(s);
    }
    if (!s->failure)
        err = tls_bio_flush(s);
    s->stage = NULL;
    return err ? err : (long)at->taken;
}

long tls_writev(struct tls_session *s, const struct iovec *iov, int count)
{
    struct tls_pieces at = {.piece = iov, .left = count};
    int err = tls_flush(s);
    return err ? err : write_records(s, &at);
}

int tls_flush(struct tls_session *s)
{
    return s->failure ? s->failure : tls_flush_unsent(s);
}

size_t tls_unsent(const struct tls_session *s)
{
    return s->unsent.len;
}

size_t tls_memory(const struct tls_session *s)
{
    return s->unsent.cap + (s->traffic ? s->traffic->partial.cap : 0);
}

void tls_shutdown(struct tls_session *s)
{
    /* OpenSSL forbids close_notify after a failure and in the handshake. */
    if (s->failure || s->in_progress || tls_flush_unsent(s) < 0)
        return;
    if (s->traffic) {
        tls_direct_shutdown(s);
        return;
    }
    tls_clear_errors();
    (void)SSL_shutdown(s->ssl);
    tls_clear_errors();
}

const char *tls_error(const struct tls_session *s)
{
    return s->error ? s->error : "no error";
}

bool tls_met_http(const struct tls_session *s)
{
    return s->met_http;
}

const char *tls_version_name(const struct tls_session *s)
{
    return s->ssl ? SSL_get_version(s->ssl) : "TLSv1.3";
}

const char *tls_cipher_name(const struct tls_session *s)
{
    return s->ssl ? SSL_get_cipher_name(s->ssl) : tls_suite_name(s->traffic->in.suite);
}

bool tls_resumed(const struct tls_session *s)
{
    return s->ssl ? SSL_session_reused(s->ssl) == 1 : s->resumed;
}
