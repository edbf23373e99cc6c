/* TLS handshakes that peers begin, and the answer to who speaks HTTP without one. */
#include "engine/conn/conn_handshake.h"

#include <string.h>

#include "base/error.h"
#include "engine/conn/conn.h"
#include "engine/worker/worker.h"

static const char plain_http[] =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 84\r\n"
    "Connection: close\r\n"
    "\r\n"
    "this port speaks TLS: write https:// instead of http://, or wss:// instead of ws://\n";

/* The request is lost, since OpenSSL has read it: only an answer to any request will do. */
static void refuse_plain_http(struct worker *w, struct conn *c)
{
    worker_log_peer(w, LOG_DEBUG, &c->peer, "request refused with 400: HTTP without TLS");
    transport_drop_tls(&c->transport);
    c->secure = false;
    size_t len = sizeof(plain_http) - 1;
    uint8_t *at = conn_reserve(w, c, len, false);
    if (!at)
        return;
    memcpy(at, plain_http, len);
    conn_linger(w, c);
}

static void failed(struct worker *w, struct conn *c)
{
    count(&w->counters, COUNT_TLS_FAILURES, 1);
    if (transport_met_http(&c->transport)) {
        refuse_plain_http(w, c);
        return;
    }
    worker_log_peer(w, LOG_DEBUG, &c->peer, "TLS handshake failed: %s",
                    transport_error(&c->transport));
    conn_lose_tls(w, c);
}

static void handshake_ready(struct worker *w, struct conn *c)
{
    int status = transport_handshake(&c->transport);
    if (status == ERR_AGAIN) {
        conn_watch(w, c);
        return;
    }
    if (status < 0) {
        failed(w, c);
        return;
    }
    if (tls_resumed(c->transport.tls))
        count(&w->counters, COUNT_TLS_RESUMED, 1);
    c->state = CONN_HTTP;
    conn_read_on(w, c);
}

static void handshake_expired(struct worker *w, struct conn *c)
{
    count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    conn_kill(w, c);
}

const struct conn_role conn_handshake_role = {
    .ready = handshake_ready,
    .expired = handshake_expired,
    .drain = conn_kill,
};
