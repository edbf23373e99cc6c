/* Reading and ending a connection whose records are our own. Writing is in tls.c. */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "transport/tls_session.h"
#include "transport/transport.h"

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

/* Keeps what was not opened: a part of one record. fresh: so many bytes of it are new, the others are
 * in partial already. */
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

/* One recv() into the caller's buffer, behind a gap and what there is of a record; it is opened to the
 * front. See tls_traffic_open. */
static long read_staged(struct tls_session *s, uint8_t *into, size_t len)
{
    enum { GAP = TLS_RECORD_BODY_MAX };
    _Static_assert(TRANSPORT_READ_BYTES >= GAP + 2 * TLS_RECORD_MAX, "room for a record, and more");
    struct tls_traffic *t = s->traffic;
    uint8_t *in = into + GAP;
    size_t before = t->partial.len;
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

static long take_plain(struct tls_traffic *t, uint8_t *into, size_t len)
{
    size_t n = t->plain.len < len ? t->plain.len : len;
    memcpy(into, t->plain.data, n);
    buffer_consume(&t->plain, n);
    if (t->plain.len == 0)
        buffer_deinit(&t->plain);
    return (long)n;
}

/* A place that is too small to open records in. Nothing in the engine has one. */
static long read_small(struct tls_session *s, uint8_t *into, size_t len)
{
    uint8_t *room = malloc(TRANSPORT_READ_BYTES);
    if (!room)
        return tls_fail(s, ERR_IO, "out of memory") ? ERR_IO : 0;
    long n = read_staged(s, room, TRANSPORT_READ_BYTES);
    if (n > 0 && buffer_append(&s->traffic->plain, room, (size_t)n)) {
        tls_fail(s, ERR_IO, "out of memory");
        n = ERR_IO;
    }
    free(room);
    return n > 0 ? take_plain(s->traffic, into, len) : n;
}

long tls_direct_read(struct tls_session *s, void *into, size_t len)
{
    if (s->traffic->plain.len > 0)
        return take_plain(s->traffic, into, len);
    s->unreported = false;
    if (s->failure || s->ended)
        return s->failure ? ERR_IO : 0;
    return len < TRANSPORT_READ_BYTES ? read_small(s, into, len) : read_staged(s, into, len);
}

bool tls_direct_pending(const struct tls_session *s)
{
    return s->unreported || s->traffic->plain.len > 0;
}

void tls_direct_shutdown(struct tls_session *s)
{
    uint8_t room[TLS_ALERT_SEALED_BYTES];
    long n = tls_traffic_alert(s->traffic, TLS_ALERT_CLOSE_NOTIFY, room);
    if (n > 0)
        tls_push(s, room, (size_t)n);
}
