/* Records in and out, and the messages and alerts that change or end the traffic. */
#include "transport/tls_traffic.h"

#include <string.h>

#include "base/error.h"

enum { KEY_UPDATE = 24 };                                     /* §B.3 */
enum { UPDATE_NOT_REQUESTED = 0, UPDATE_REQUESTED = 1 };      /* §4.6.3 */
enum { ALERT_WARNING = 1, ALERT_FATAL = 2, ALERT_BYTES = 2 }; /* §6 */

int tls_traffic_init(struct tls_traffic *t, struct tls_ciphers *ciphers, unsigned suite,
                     const uint8_t *in_secret, const uint8_t *out_secret)
{
    *t = (struct tls_traffic){.ciphers = ciphers};
    if (tls_keys_init(&t->in, ciphers, suite, false, in_secret) == 0 &&
        tls_keys_init(&t->out, ciphers, suite, true, out_secret) == 0)
        return 0;
    tls_traffic_deinit(t);
    return ERR_MEMORY;
}

void tls_traffic_deinit(struct tls_traffic *t)
{
    tls_keys_deinit(&t->in, t->ciphers);
    tls_keys_deinit(&t->out, t->ciphers);
    buffer_deinit(&t->partial);
}

/* ---- opening: each of these returns 0 or the alert to send ---- */

static int count_useless(struct tls_traffic *t)
{
    return ++t->useless > TLS_USELESS_RECORDS ? TLS_ALERT_UNEXPECTED_MESSAGE : 0;
}

static int take_key_update(struct tls_traffic *t, bool last_of_record)
{
    t->message_len = 0;
    if (t->message[4] > UPDATE_REQUESTED)
        return TLS_ALERT_ILLEGAL_PARAMETER;
    /* §5.1: a message behind it would be under the old keys. */
    if (!last_of_record)
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    if (tls_keys_update(&t->in, t->ciphers))
        return TLS_ALERT_INTERNAL_ERROR;
    /* §4.6.3: ours changes before our next data, once, however often the peer asks until then. */
    t->update_due = t->update_due || t->message[4] == UPDATE_REQUESTED;
    return 0;
}

static int take_handshake(struct tls_traffic *t, const uint8_t *data, size_t len)
{
    static const uint8_t head[] = {KEY_UPDATE, 0, 0, 1};
    if (len == 0) /* §5.1 */
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    for (size_t i = 0; i < len; i++) {
        uint8_t at = t->message_len++;
        t->message[at] = data[i];
        if (at == 0 && data[i] != KEY_UPDATE)
            return TLS_ALERT_UNEXPECTED_MESSAGE;
        if (at < sizeof(head) && data[i] != head[at])
            return TLS_ALERT_DECODE_ERROR;
        if (at == sizeof(head)) {
            int alert = take_key_update(t, i + 1 == len);
            return alert ? alert : count_useless(t);
        }
    }
    return count_useless(t);
}

/* §6: a record has one whole alert, whose level means nothing any more. */
static int take_alert(struct tls_traffic *t, const uint8_t *data, size_t len,
                      struct tls_opened *out)
{
    if (len != ALERT_BYTES) /* §5.4 names the alert for an empty one */
        return len == 0 ? TLS_ALERT_UNEXPECTED_MESSAGE : TLS_ALERT_DECODE_ERROR;
    if (data[1] == TLS_ALERT_USER_CANCELED) /* §6.1: a close_notify comes too */
        return count_useless(t);
    out->ended = data[1] == TLS_ALERT_CLOSE_NOTIFY;
    out->failed = !out->ended;
    out->told = data[1];
    return 0;
}

static int take_data(struct tls_traffic *t, size_t len, struct tls_opened *out)
{
    if (len == 0)
        return count_useless(t);
    t->useless = 0;
    out->len += len;
    return 0;
}

static int take(struct tls_traffic *t, const struct tls_record *record, const uint8_t *data,
                struct tls_opened *out)
{
    if (record->type == TLS_CONTENT_HANDSHAKE)
        return take_handshake(t, data, record->len);
    if (t->message_len > 0) /* §5.1: nothing comes between a message's parts */
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    if (record->type == TLS_CONTENT_DATA)
        return take_data(t, record->len, out);
    if (record->type == TLS_CONTENT_ALERT)
        return take_alert(t, data, record->len, out);
    return TLS_ALERT_UNEXPECTED_MESSAGE;
}

/* Opens the record at in, if it is whole. True: it was, and there may be another. */
static bool open_next(struct tls_traffic *t, const uint8_t *in, size_t len, uint8_t *into,
                      struct tls_opened *out)
{
    if (len < TLS_RECORD_HEADER_BYTES)
        return false;
    int body = tls_record_body(in);
    int alert = body < 0 ? -body : 0;
    if (!alert) {
        if (len - TLS_RECORD_HEADER_BYTES < (size_t)body)
            return false;
        struct tls_record record;
        uint8_t *data = into + out->len;
        int failed = tls_record_open(&t->in, t->ciphers, in, (size_t)body, data, &record);
        out->used += TLS_RECORD_HEADER_BYTES + (size_t)body;
        alert = failed ? -failed : take(t, &record, data, out);
    }
    if (alert) {
        out->failed = true;
        out->alert = (uint8_t)alert;
    }
    return !out->failed && !out->ended;
}

void tls_traffic_open(struct tls_traffic *t, const uint8_t *in, size_t len, uint8_t *into,
                      struct tls_opened *out)
{
    *out = (struct tls_opened){0};
    while (open_next(t, in + out->used, len - out->used, into, out))
        continue;
}

/* ---- sealing ---- */

static long seal_key_update(struct tls_traffic *t, uint8_t *out)
{
    static const uint8_t message[TLS_KEY_UPDATE_BYTES] = {KEY_UPDATE, 0, 0, 1,
                                                          UPDATE_NOT_REQUESTED};
    long n = tls_record_seal_bytes(&t->out, t->ciphers, TLS_CONTENT_HANDSHAKE, message,
                                   sizeof(message), out);
    if (n < 0 || tls_keys_update(&t->out, t->ciphers))
        return ERR_MEMORY;
    t->update_due = false;
    return n;
}

long tls_traffic_seal(struct tls_traffic *t, struct tls_pieces *at, uint8_t *out)
{
    long update = 0;
    if (t->close_sent)
        return ERR_CLOSED;
    if (t->update_due || t->out.sequence >= t->ciphers->records_per_key)
        update = seal_key_update(t, out);
    if (update < 0)
        return update;
    long n = tls_record_seal(&t->out, t->ciphers, TLS_CONTENT_DATA, at, out + update);
    if (n < 0)
        return n;
    t->useless = 0;
    return update + n;
}

long tls_traffic_alert(struct tls_traffic *t, enum tls_alert alert, uint8_t *out)
{
    if (t->close_sent)
        return ERR_CLOSED;
    bool closes = alert == TLS_ALERT_CLOSE_NOTIFY;
    uint8_t message[ALERT_BYTES] = {closes ? ALERT_WARNING : ALERT_FATAL, (uint8_t)alert};
    long n = tls_record_seal_bytes(&t->out, t->ciphers, TLS_CONTENT_ALERT, message, sizeof(message),
                                   out);
    if (n > 0)
        t->close_sent = true; /* after any other alert nothing may follow either (§6.2) */
    return n;
}
