/* Reads the header and not a byte more: what follows belongs to TLS or HTTP. */
#include "engine/conn/conn_proxy.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/conn/conn.h"
#include "engine/ground/admission.h"
#include "protocol/proxy_header.h"

/* What has come of a header that is not whole: it is taken off the socket, which would be readable
 * all the time otherwise. Proxies send headers whole, so it is rare. */
struct part {
    size_t len;
    uint8_t data[PROXY_HEADER_BYTES_MAX];
};

static void drop_part(struct worker *w, struct conn *c)
{
    (void)w;
    free(c->io.data);
    c->io.data = NULL;
}

/* Appends what was looked at to the part, and takes it off the socket. */
static int keep_part(struct conn *c, const uint8_t *data, size_t len)
{
    struct part *part = c->io.data;
    if (!part)
        c->io.data = part = calloc(1, sizeof(*part));
    if (!part)
        return ERR_MEMORY;
    memcpy(part->data + part->len, data, len);
    part->len += len;
    return tcp_skip(c->transport.fd, len);
}

static void refuse(struct worker *w, struct conn *c, const struct address *peer, const char *what,
                   const char *why)
{
    count(&w->counters, COUNT_REFUSED_CONNECTIONS, 1);
    worker_log_peer(w, LOG_WARN, peer, "connection refused: %s%s", what, why);
    conn_kill(w, c);
}

static void refuse_header(struct worker *w, struct conn *c, const char *why)
{
    struct address proxy;
    tcp_peer(c->transport.fd, &proxy);
    refuse(w, c, &proxy,
           "the listener has the option proxy, but the PROXY header is not as it should be: ", why);
}

/* Whose connection it is: a proxy that speaks for itself is the peer. */
static void find_source(const struct conn *c, const struct proxy_header *h, struct address *out)
{
    switch (h->source) {
    case PROXY_SOURCE_IPV4:
        address_set(out, AF_INET, h->address, h->port);
        break;
    case PROXY_SOURCE_IPV6:
        address_set(out, AF_INET6, h->address, h->port);
        break;
    case PROXY_SOURCE_UNIX:
        *out = (struct address){.family = AF_UNIX};
        break;
    case PROXY_SOURCE_PROXY:
        tcp_peer(c->transport.fd, out);
        break;
    }
}

static void header_whole(struct worker *w, struct conn *c, const struct proxy_header *h)
{
    struct address peer;
    drop_part(w, c);
    find_source(c, h, &peer);
    const char *over = admission_know(w->admission, &peer);
    if (over) {
        refuse(w, c, &peer, "over limits.", over);
        return;
    }
    c->peer = peer;
    conn_begin(w, c);
}

static void on_ready(struct worker *w, struct conn *c)
{
    uint8_t data[PROXY_HEADER_BYTES_MAX];
    const struct part *part = c->io.data;
    size_t have = part ? part->len : 0;
    if (part)
        memcpy(data, part->data, have);
    long n = tcp_peek(c->transport.fd, data + have, sizeof(data) - have);
    if (n == ERR_AGAIN) {
        conn_watch(w, c);
        return;
    }
    if (n <= 0) { /* maybe a proxy that only looks whether somebody listens */
        conn_kill(w, c);
        return;
    }
    struct proxy_header header;
    long len = proxy_header_parse(&header, data, have + (size_t)n);
    if (len < 0)
        refuse_header(w, c, header.why);
    else if (len == 0 && keep_part(c, data + have, (size_t)n))
        conn_kill(w, c);
    else if (len > 0 && tcp_skip(c->transport.fd, (size_t)len - have))
        conn_kill(w, c);
    else if (len > 0)
        header_whole(w, c, &header);
}

static void on_expired(struct worker *w, struct conn *c)
{
    count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    conn_kill(w, c);
}

const struct conn_role conn_proxy_role = {
    .ready = on_ready,
    .expired = on_expired,
    .drain = conn_kill,
    .ended = drop_part,
};
