/* Connections that the script opens, up to a connected socket: the name, TCP, TLS. */
#include "engine/client/client.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "engine/client/client_answer.h"
#include "engine/client/client_opening.h"

/* ---- TCP and TLS ----------------------------------------------------------------------------- */

/* The socket of a connection in CONN_CONNECT is ready: TLS goes on. */
static void on_ready(struct worker *w, struct conn *c)
{
    int status = transport_handshake(&c->transport);
    if (status == ERR_AGAIN) {
        conn_watch(w, c);
        return;
    }
    if (status < 0) {
        count(&w->counters, COUNT_TLS_FAILURES, 1);
        client_fail_tls(w, c);
        return;
    }
    if (tls_resumed(c->transport.tls))
        count(&w->counters, COUNT_TLS_RESUMED, 1);
    client_answer_begin(w, c);
}

static void on_dialled(struct dial *d, int fd, const struct address *peer)
{
    struct client_opening *o = d->data;
    struct worker *w = o->worker;
    struct conn *c = o->conn;
    if (fd < 0 && d->crowded) {
        client_fail(w, c,
                    "cannot connect to %s port %u: %u connections wait for their turn already "
                    "(limit waiting_connects)",
                    o->host, o->url.port, d->waiting_max);
        return;
    }
    if (fd < 0) {
        const char *text = strerrordesc_np(errno);
        client_fail(w, c, "cannot connect to %s port %u: %s", o->host, o->url.port,
                    text ? text : "unknown error");
        return;
    }
    c->peer = *peer;
    conn_attach(c, fd);
    if (!c->secure) {
        client_answer_begin(w, c);
        return;
    }
    c->transport.tls = tls_connect(o->tls, fd, o->host, o->url.is_address, o->url.port);
    if (!c->transport.tls) {
        client_fail(w, c, "TLS: %s is not a name that a certificate can have", o->host);
        return;
    }
    on_ready(w, c);
}

/* ---- the name -------------------------------------------------------------------------------- */

static void use_addresses(struct worker *w, struct conn *c, const struct resolver_answer *answer)
{
    struct client_opening *o = c->client->opening;
    if (answer->count == 0) {
        client_fail(w, c, "the address of %s was not found: %s", o->host, answer->why);
        return;
    }
    o->named = true;
    o->dial.done = on_dialled;
    o->dial.data = o;
    o->dial.desk = o->concurrent ? NULL : w->connect_desk;
    o->dial.waiting_max = w->site->limits.waiting_connects;
    dial_start(&o->dial, w->loop, answer);
}

static void on_resolved(struct worker *w, const struct resolver_answer *answer)
{
    struct conn *c = conn_get(w, answer->asker);
    if (c && c->state == CONN_CONNECT)
        use_addresses(w, c, answer);
}

static void find_addresses(struct worker *w, struct conn *c)
{
    struct client_opening *o = c->client->opening;
    struct resolver_answer known;
    if (resolver_known(&known, o->host, o->url.port)) {
        known.asker = conn_handle(w, c);
        /* While the app is loaded, it may still set the limit of those who wait. */
        if (ev_depth(w->loop) > 0)
            use_addresses(w, c, &known);
        else if (resolver_answer_later(&known, &w->mailbox, on_resolved))
            client_fail(w, c, "out of memory");
        return;
    }
    const struct resolver_question question = {.name = o->host,
                                               .port = o->url.port,
                                               .asker = conn_handle(w, c),
                                               .to = &w->mailbox,
                                               .read = on_resolved};
    int err = resolver_ask(w->resolver, &question);
    if (err)
        client_fail(w, c, "the address of %s was not looked up: %s", o->host,
                    err == ERR_LIMIT ? "too many look-ups wait" : error_text(err));
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* "a, b": cut into o->names. False: too many. */
static bool cut_protocols(struct client_opening *o)
{
    unsigned n = 0;
    char *rest = NULL;
    for (char *name = strtok_r(o->names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
        if (n == HANDSHAKE_PROTOCOLS_MAX)
            return false;
        o->protocols[n++] = name;
    }
    return true;
}

/* Files are read before anybody is asked. */
static bool prepare_tls(struct worker *w, struct conn *c, const struct connect_options *options)
{
    struct client_opening *o = c->client->opening;
    const struct tls_client_options wanted = {
        .ca_file = options->ca_file,
        .cert_file = options->cert_file,
        .key_file = options->key_file,
        .insecure = options->insecure,
    };
    char why[TLS_WHY_BYTES];
    struct tls_context *context = tls_client_context(&w->tls_clients, &wanted, why);
    if (!context) {
        client_fail(w, c, "TLS: %s", why);
        return false;
    }
    o->tls = tls_context_ref(context);
    return true;
}

static void begin(struct worker *w, struct conn *c, const struct connect_options *options)
{
    struct client_opening *o = c->client->opening;
    /* While the app is loaded the loop does not run, and its clock stands. */
    if (ev_depth(w->loop) == 0)
        ev_now_update(w->loop);
    conn_deadline_in(w, c, o->connect_seconds);
    worker_sweep(w);
    if (w->drain_started > 0)
        client_fail(w, c, "the process is ending");
    else if (!cut_protocols(o))
        client_fail(w, c, "more than %d subprotocols", HANDSHAKE_PROTOCOLS_MAX);
    else if (!c->secure || prepare_tls(w, c, options))
        find_addresses(w, c);
}

double client_connect(struct worker *w, const struct connect_options *options, const char **why)
{
    struct ws_url url;
    int err = ws_url_parse(&url, options->url, options->url_len, why);
    if (err)
        return err;
    bool secure = url.secure;
    struct client *client = client_opening_new(options, &url);
    if (!client)
        return ERR_MEMORY;
    struct conn *c = NULL;
    err = conn_new(w, &c);
    if (err) {
        client_free(client);
        return err;
    }
    c->client = client;
    c->route = CLIENT_ROUTE;
    c->secure = secure;
    client->opening->worker = w;
    client->opening->conn = c;
    begin(w, c, options);
    return conn_handle(w, c);
}

/* ---- the role -------------------------------------------------------------------------------- */

static void on_expired(struct worker *w, struct conn *c)
{
    const struct client_opening *o = c->client->opening;
    count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    if (!o->named)
        client_fail(w, c, "the address of %s was not found within %g seconds", o->host,
                    o->connect_seconds);
    else if (dial_waits(&o->dial))
        client_fail(w, c,
                    "no connection to %s within %g seconds: others to the same address were opened "
                    "before, one at a time (RFC 6455 §4.1); give connect_timeout more",
                    o->authority, o->connect_seconds);
    else if (!c->transport.tls)
        client_fail(w, c, "no connection to %s within %g seconds", o->authority,
                    o->connect_seconds);
    else
        client_fail(w, c, "TLS: %s did not finish the handshake within %g seconds", o->authority,
                    o->connect_seconds);
}

const struct conn_role client_connect_role = {
    .ready = on_ready,
    .expired = on_expired,
    .drain = client_drain,
    .ended = client_ended,
};
