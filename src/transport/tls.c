/* One TLS connection. OpenSSL talks to the socket through a BIO of our own, for three reasons; what it
 * leaves to us after a handshake (tls_takeover.h) goes the same ways.
 *
 * - Fewer system calls: what one recv() brings is decrypted at once, and the records of one write
 *   leave with one send(). OpenSSL alone would call recv() twice and send() once for each record.
 * - OpenSSL wants a write that was cut short to be repeated with the same bytes, but the caller may
 *   meanwhile have put a control frame first. Here a record, once made, is ours: what the system
 *   does not take waits in unsent, and tls_flush sends it.
 * - send() with MSG_NOSIGNAL instead of write(). */
#include "transport/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/error.h"
#include "transport/calls.h"
#include "transport/tls_context.h"
#include "transport/tls_session.h"
#include "transport/tls_takeover.h"
#include "transport/transport.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,              /* 16 KiB, RFC 8446 §5.1 */
    RECORD_ROOM = SSL3_RT_MAX_PLAIN_LENGTH + 256 + 5 + 3, /* encrypted, header included */
    STAGE_RECORDS = 4,
    UNSENT_MAX = 4 * STAGE_RECORDS * RECORD_ROOM
};

_Static_assert((int)RECORD_ROOM >= (int)TLS_SEALED_MAX, "a record of ours has room in a stage");

/* The system's side of one call; lives on that call's stack. */
struct tls_stage {
    const uint8_t *in; /* received, not yet decrypted */
    size_t in_len;
    uint8_t *out; /* encrypted, not yet sent; NULL: send at once */
    size_t out_len;
    size_t out_cap;
};

int tls_fail(struct tls_session *s, int code, const char *text)
{
    if (s->failure == 0) {
        s->failure = (int8_t)code;
        s->error = text ? text : "unknown error";
    }
    return s->failure;
}

static int fail_errno(struct tls_session *s)
{
    return tls_fail(s, errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_IO,
                    strerrordesc_np(errno));
}

/* SSL_get_error believes whatever is in the thread's queue, so it is empty before each call. Looking
 * costs less than clearing, and after a call that went well there is nothing. */
void tls_clear_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* To and from the socket */

static int send_now(struct tls_session *s, const uint8_t *data, size_t len, size_t *sent)
{
    *sent = 0;
    while (*sent < len) {
        ssize_t n = call_send(s->fd, data + *sent, len - *sent, MSG_NOSIGNAL);
        if (n >= 0)
            *sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        else if (errno != EINTR)
            return fail_errno(s);
    }
    return 0;
}

int tls_push(struct tls_session *s, const uint8_t *data, size_t len)
{
    size_t sent = 0;
    if (s->unsent.len == 0) {
        int failed = send_now(s, data, len, &sent);
        if (failed)
            return failed;
    }
    if (sent == len)
        return 0;
    /* Only a peer that makes us answer (alerts) and does not read gets here. */
    if (s->unsent.len + len - sent > UNSENT_MAX)
        return tls_fail(s, ERR_IO, "the peer does not read what TLS answers");
    if (buffer_append(&s->unsent, data + sent, len - sent))
        return tls_fail(s, ERR_IO, "out of memory");
    return 0;
}

int tls_flush_unsent(struct tls_session *s)
{
    if (s->unsent.len == 0)
        return 0;
    size_t sent;
    int failed = send_now(s, s->unsent.data, s->unsent.len, &sent);
    if (failed)
        return failed;
    if (sent < s->unsent.len) {
        buffer_consume(&s->unsent, sent);
        return ERR_AGAIN;
    }
    buffer_deinit(&s->unsent); /* an idle connection keeps no buffer */
    return 0;
}

static int flush_stage(struct tls_session *s)
{
    struct tls_stage *stage = s->stage;
    size_t len = stage->out_len;
    stage->out_len = 0;
    return len > 0 ? tls_push(s, stage->out, len) : 0;
}

ssize_t tls_receive(struct tls_session *s, void *into, size_t len)
{
    ssize_t n;
    do {
        n = call_recv(s->fd, into, len);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0) {
        s->ended = true;
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return ERR_AGAIN;
    fail_errno(s);
    return ERR_IO;
}

/* The BIO */

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
    if (left > stage->out_cap - stage->out_len && flush_stage(s))
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

BIO_METHOD *tls_socket_method(void)
{
    /* Without BIO_get_new_index(): there are only some hundred, and a reload would use one up. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "moonwire socket");
    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_ctrl))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Life */

struct tls_session *tls_session_new(struct tls_context *c, int fd)
{
    ERR_clear_error();
    struct tls_session *s = calloc(1, sizeof *s);
    SSL *ssl = s ? SSL_new(c->by_certificate[0]) : NULL;
    BIO *bio = ssl ? BIO_new(c->socket_method) : NULL;
    if (!bio) {
        ERR_clear_error();
        SSL_free(ssl);
        free(s);
        return NULL;
    }
    s->ssl = ssl;
    s->fd = fd;
    s->in_progress = true;
    s->context = tls_context_ref(c);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return s;
}

struct tls_session *tls_accept(struct tls_context *c, int fd, struct tls_ciphers **ciphers)
{
    struct tls_session *s = tls_session_new(c, fd);
    if (!s)
        return NULL;
    SSL_set_accept_state(s->ssl);
    if (ciphers)
        tls_takeover_begin(s, ciphers);
    return s;
}

struct ssl_st *tls_session_ssl(struct tls_session *s)
{
    return s->ssl;
}

void tls_free(struct tls_session *s)
{
    if (!s)
        return;
    if (s->traffic)
        tls_traffic_deinit(s->traffic);
    free(s->traffic);
    if (s->ssl)
        free(SSL_get_app_data(s->ssl)); /* of tls_client.c: what s->error may be */
    SSL_free(s->ssl);
    ERR_clear_error();
    tls_takeover_forget(s);
    buffer_deinit(&s->unsent);
    tls_context_unref(s->context);
    free(s->peer);
    free(s);
}

void tls_session_set_peer(struct tls_session *s, char *peer)
{
    s->peer = peer;
}

const char *tls_session_peer(const struct ssl_st *ssl, struct tls_context **context)
{
    const struct tls_session *s = BIO_get_data(SSL_get_rbio(ssl));
    *context = s->context;
    return s->peer;
}

/* OpenSSL's reason for what just failed. Not every 3.0 has a text for every alert that a peer sends. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (text == NULL && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET)
        text = SSL_alert_desc_string_long(ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET);
    return text ? text : "TLS failed";
}

/* What OpenSSL says about a call that returned result <= 0: ERR_AGAIN, 0 for close_notify (or an
 * end without one, which is reported the same), or the failure. */
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
    return tls_fail(s, ERR_IO, reason());
}

static int handshake_step(struct tls_session *s)
{
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl);
    int code = result == 1 ? 0 : outcome(s, result);
    if (result != 1 && code == 0)
        code = tls_fail(s, ERR_IO, "the peer left during the TLS handshake");
    s->in_progress = result != 1;
    if (result == 1 && s->peer)
        tls_client_done(s->ssl);
    if (s->failure && SSL_get_app_data(s->ssl))
        s->error = SSL_get_app_data(s->ssl);
    ERR_clear_error();
    return code;
}

int tls_handshake(struct tls_session *s)
{
    if (s->failure)
        return ERR_IO;
    int code = tls_flush_unsent(s);
    if (code == 0 && s->in_progress) {
        uint8_t room[RECORD_ROOM];
        struct tls_stage stage = {.out = room, .out_cap = sizeof room};
        s->stage = &stage;
        code = handshake_step(s);
        /* After a failure too: the alert tells the peer why. */
        if (stage.out_len > 0)
            tls_push(s, room, stage.out_len);
        s->stage = NULL;
    }
    if (s->failure)
        return ERR_IO;
    if (s->takeover && !s->in_progress)
        tls_takeover_finish(s);
    return s->unsent.len > 0 ? ERR_AGAIN : code;
}

/* Reading */

static long read_failed(const struct tls_session *s)
{
    return s->failure ? ERR_IO : 0;
}

/* All that was received is decrypted and returned: OpenSSL asks for no more bytes than its record
 * has, so it would only say that it wants some. */
static bool is_used_up(const struct tls_session *s)
{
    return s->stage && s->stage->in_len == 0 && SSL_pending(s->ssl) == 0;
}

/* Decrypts until into is full, OpenSSL wants more, or it is over. With staged input that lies in
 * the same memory, plaintext never grows into what is not yet decrypted: see read_staged. */
static long decrypt(struct tls_session *s, uint8_t *into, size_t len, bool once)
{
    size_t total = 0;
    while (total < len) {
        size_t n = 0;
        tls_clear_errors();
        int result = SSL_read_ex(s->ssl, into + total, len - total, &n);
        if (result == 1) {
            total += n;
            assert(!s->stage || s->stage->in_len == 0 || into + total <= s->stage->in);
            if (once || is_used_up(s))
                break;
            continue;
        }
        int code = outcome(s, result);
        tls_clear_errors();
        if (total > 0) {
            s->unreported = code != ERR_AGAIN;
            break;
        }
        return code == ERR_AGAIN ? ERR_AGAIN : read_failed(s);
    }
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
    long result = decrypt(s, into, len, false);
    s->stage = NULL;
    assert(stage.in_len == 0 || s->ended || s->failure);
    return result;
}

long tls_read(struct tls_session *s, void *into, size_t len)
{
    if (s->traffic)
        return tls_direct_read(s, into, len);
    s->unreported = false;
    if (s->failure || s->ended)
        return read_failed(s);
    if (len < TRANSPORT_READ_BYTES || SSL_pending(s->ssl) > 0)
        return decrypt(s, into, len, true);
    return read_staged(s, into, len);
}

bool tls_pending(const struct tls_session *s)
{
    return s->traffic ? tls_direct_pending(s) : s->unreported || SSL_pending(s->ssl) > 0;
}

/* Writing */

/* The next record's plaintext, without moving on: in place if one piece has enough or is the last,
 * else copied together into room. */
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

/* The same with OpenSSL. 0 or the failure. */
static int encrypt(struct tls_session *s, struct tls_pieces *at, uint8_t gathered[RECORD_BYTES])
{
    struct iovec record = next_record(*at, gathered);
    size_t taken = 0;
    tls_clear_errors();
    int result = SSL_write_ex(s->ssl, record.iov_base, record.iov_len, &taken);
    tls_pieces_advance(at, taken);
    if (result == 1)
        return 0;
    int code = outcome(s, result);
    tls_clear_errors();
    /* The socket never blocks OpenSSL, so it waits for the rest of a KeyUpdate that came in
     * pieces. Nobody splits five bytes but to make us spin on a writable socket. */
    if (code == ERR_AGAIN)
        code = tls_fail(s, ERR_IO, "the peer split a change of keys");
    return code ? code : tls_fail(s, ERR_CLOSED, "the peer closed the connection");
}

/* The same with keys of our own. */
static int seal(struct tls_session *s, struct tls_pieces *at)
{
    struct tls_stage *stage = s->stage;
    long n = tls_traffic_seal(s->traffic, at, stage->out + stage->out_len);
    if (n == ERR_CLOSED)
        return tls_fail(s, ERR_IO, "our side of TLS has ended");
    if (n < 0) {
        tls_clear_errors();
        return tls_fail(s, ERR_IO, "out of memory");
    }
    stage->out_len += (size_t)n;
    return 0;
}

/* Encrypts and sends until all is taken or the socket is full. Returns what was encrypted, or the
 * failure. */
static long write_records(struct tls_session *s, struct tls_pieces *at)
{
    uint8_t gathered[RECORD_BYTES];
    uint8_t room[STAGE_RECORDS * RECORD_ROOM];
    struct tls_stage stage = {.out = room, .out_cap = sizeof room};
    int failed = 0;
    s->stage = &stage;
    for (tls_pieces_advance(at, 0); at->left > 0 && !failed && s->unsent.len == 0;) {
        /* Encrypts one record's worth into the stage. */
        failed = s->traffic ? seal(s, at) : encrypt(s, at, gathered);
        if (!failed && stage.out_cap - stage.out_len < RECORD_ROOM)
            failed = flush_stage(s);
    }
    if (!s->failure)
        failed = flush_stage(s);
    s->stage = NULL;
    return failed ? failed : (long)at->taken;
}

long tls_writev(struct tls_session *s, const struct iovec *iov, int count)
{
    struct tls_pieces at = {.piece = iov, .left = count};
    int code = tls_flush(s);
    return code ? code : write_records(s, &at);
}

int tls_flush(struct tls_session *s)
{
    return s->failure ? s->failure : tls_flush_unsent(s);
}

size_t tls_unsent(const struct tls_session *s)
{
    return s->unsent.len;
}

void tls_shutdown(struct tls_session *s)
{
    /* OpenSSL forbids it after a failure and in the handshake. */
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
