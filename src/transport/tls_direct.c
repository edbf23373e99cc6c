/* Records of our own between a caller's memory and the socket. */
#include "transport/tls_direct.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/error.h"
#include "transport/tls_bio.h"
#include "transport/tls_session.h"

static const char *text_of(uint8_t alert)
{
    switch (alert) {
    case TLS_ALERT_UNEXPECTED_MESSAGE:
        return "the peer sent a TLS message or record that has no place there";
    case TLS_ALERT_BAD_RECORD_MAC:
        return "decryption failed or bad record mac";
    case TLS_ALERT_RECORD_OVERFLOW:
        return "the peer sent a TLS record that is too long";
    case TLS_ALERT_ILLEGAL_PARAMETER:
    case TLS_ALERT_DECODE_ERROR:
        return "the peer sent a TLS message that is malformed";
    case TLS_ALERT_PROTOCOL_VERSION:
        return "the peer sent a record of another TLS version";
    default:
        return "out of memory";
    }
}

static void fail_with(struct tls_session *s, const struct tls_opened *opened)
{
    if (opened->alert == TLS_ALERT_CLOSE_NOTIFY) {
        tls_fail(s, ERR_IO, SSL_alert_desc_string_long(opened->told));
        return;
    }
    uint8_t room[TLS_ALERT_SEALED_BYTES];
    tls_fail(s, ERR_IO, text_of(opened->alert));
    long n = tls_traffic_alert(s->traffic, (enum tls_alert)opened->alert, room);
    if (n > 0)
        tls_push(s, room, (size_t)n); /* it is over either way */
    tls_clear_errors();
}

/* Keeps what was not opened: a part of one record, of which the last `fresh` bytes are new and the
 * others are in partial already. */
static void keep_rest(struct tls_session *s, const uint8_t *rest, size_t len, size_t fresh)
{
    struct buffer *partial = &s->traffic->partial;
    if (s->failure || s->ended || len == 0) {
        buffer_deinit(partial); /* an idle connection keeps no buffer */
        return;
    }
    if (fresh > len || partial->len + fresh != len) {
        partial->len = 0;
        fresh = len;
    }
    if (buffer_append(partial, rest + len - fresh, fresh))
        tls_fail(s, ERR_IO, "out of memory");
}

/* One recv() into the caller's place, behind a gap and what there is of a record. It is opened to
 * the front of the place: see tls_traffic_open. */
long tls_direct_read(struct tls_session *s, void *place, size_t len)
{
    enum { GAP = TLS_RECORD_BODY_MAX };
    _Static_assert(TLS_READ_BYTES >= GAP + 2 * TLS_RECORD_MAX, "room for a record, and more");
    assert(len >= TLS_READ_BYTES && !s->failure && !s->ended);
    struct tls_traffic *t = s->traffic;
    uint8_t *into = place, *in = into + GAP;
    size_t before = t->partial.len;
    assert(before < TLS_RECORD_MAX);
    if (before > 0)
        memcpy(in, t->partial.data, before);
    ssize_t n = tls_receive(s, in + before, len - GAP - before);
    if (n <= 0)
        return n;
    struct tls_opened opened;
    size_t all = before + (size_t)n;
    tls_traffic_open(t, in, all, into, &opened);
    s->ended = opened.ended;
    if (opened.failed)
        fail_with(s, &opened);
    keep_rest(s, in + opened.used, all - opened.used, (size_t)n);
    s->unreported = opened.len > 0 && (s->ended || s->failure);
    if (opened.len > 0)
        return (long)opened.len;
    if (s->failure)
        return ERR_IO;
    return s->ended ? 0 : ERR_AGAIN;
}

int tls_direct_seal(struct tls_session *s, struct tls_pieces *at)
{
    struct tls_stage *stage = s->stage;
    assert(stage->out_cap - stage->out_len >= TLS_SEALED_MAX);
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

void tls_direct_shutdown(struct tls_session *s)
{
    uint8_t room[TLS_ALERT_SEALED_BYTES];
    long n = tls_traffic_alert(s->traffic, TLS_ALERT_CLOSE_NOTIFY, room);
    if (n > 0)
        tls_push(s, room, (size_t)n);
}
