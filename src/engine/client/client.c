/* Connections that the script opens: from the options to an open WebSocket, in two roles. */
#include "engine/client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/client/dial.h"
#include "engine/ws/ws_conn.h"
#include "protocol/close_code.h"
#include "protocol/handshake.h"
#include "protocol/http_response.h"
#include "protocol/ws_url.h"
#include "transport/tls_client.h"

enum {
    INTERIM_ANSWERS_MAX = 8, /* 1xx before the one that counts (RFC 9110 §15.2) */
    ERROR_TEXT_MAX = 768
};

static const double default_seconds = 10;
static const double seconds_max = 1000000;

/* What is needed until the connection is open. Texts end with a NUL. */
struct client_opening {
    struct worker *worker;
    struct conn *conn;
    struct ws_url url;
    char *host;
    char *authority;
    char *target;
    char *headers;
    size_t headers_len;
    char *names;                                        /* of the subprotocols */
    const char *protocols[HANDSHAKE_PROTOCOLS_MAX + 1]; /* in it */
    struct tls_context *tls;                            /* a reference, for wss */
    double connect_seconds;
    double handshake_seconds;
    uint32_t message_bytes; /* 0: as the app's, when it is open */
    uint32_t queued_bytes;
    uint32_t idle_seconds;
    uint32_t pong_seconds;
    uint32_t close_seconds;
    char key[HANDSHAKE_KEY_LEN + 1];
    bool named;      /* its addresses are known */
    bool failed;     /* the script was told */
    bool concurrent; /* takes no place in a queue */
    unsigned interim;
    struct dial dial;
    struct buffer in; /* of the answer's head */
    struct http_head_parser parser;
    struct http_head head;
};

/* ---- the end of what is not open ------------------------------------------------------------- */

static void opening_free(struct client_opening *o)
{
    if (!o)
        return;
    dial_stop(&o->dial);
    ws_url_deinit(&o->url);
    tls_context_unref(o->tls);
    buffer_deinit(&o->in);
    free(o->host);
    free(o->authority);
    free(o->target);
    free(o->headers);
    free(o->names);
    free(o);
}

static void free_client(struct worker *w, struct conn *c)
{
    (void)w;
    if (!c->client)
        return;
    opening_free(c->client->opening);
    free(c->client);
    c->client = NULL;
}

/* Takes the text. */
static void emit_failure(struct worker *w, struct conn *c, char *text)
{
    if (batch_own(&w->batch, text) < 0) {
        free(text);
        return;
    }
    struct event *e = conn_event(w, c, EVENT_ERROR);
    if (!e)
        return;
    e->code = CLOSE_ABNORMAL;
    e->data = text;
    e->len = (uint32_t)strlen(text);
}

static void emit_close(struct worker *w, struct conn *c)
{
    struct event *e = conn_event(w, c, EVENT_CLOSE);
    if (e)
        e->code = CLOSE_ABNORMAL;
}

/* The script hears of it once. Takes the text, which may be NULL. */
static void tell(struct worker *w, struct conn *c, char *text)
{
    c->client->opening->failed = true;
    if (text)
        emit_failure(w, c, text);
    emit_close(w, c);
}

void client_fail(struct worker *w, struct conn *c, const char *format, ...)
{
    if (c->client->opening->failed)
        return;
    char *text = malloc(ERROR_TEXT_MAX);
    if (text) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(text, ERROR_TEXT_MAX, format, args);
        va_end(args);
    }
    tell(w, c, text);
    conn_kill(w, c);
}

void client_log_failure(struct worker *w, const struct conn *c, enum log_level level,
                        const char *text, size_t len)
{
    const struct client_opening *o = c->client ? c->client->opening : NULL;
    if (!o)
        return;
    /* Not the query, nor user and password: they may be secrets. */
    worker_log_bounded(w, level, "%s://%s%.*s: %.*s", c->secure ? "wss" : "ws", o->authority,
                       (int)(o->url.target.len - o->url.query.len), o->target, (int)len, text);
}

/* The connection is dead: nothing comes of it any more. */
static void on_ended(struct worker *w, struct conn *c)
{
    struct client_opening *o = c->client->opening;
    dial_stop(&o->dial);
    if (!o->failed)
        tell(w, c, strdup("the connection was lost before it was open"));
}

static void on_expired(struct worker *w, struct conn *c)
{
    const struct client_opening *o = c->client->opening;
    count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    if (c->state == CONN_ANSWER)
        client_fail(w, c, "%s did not answer the opening handshake within %g seconds", o->authority,
                    o->handshake_seconds);
    else if (!o->named)
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

/* ---- the answer ------------------------------------------------------------------------------ */

static uint32_t chosen(uint32_t wanted, uint32_t otherwise)
{
    return wanted ? wanted : otherwise;
}

/* The app's limits count from here, not from when the script began to connect: its top level may
 * set them after that. */
static void set_limits(const struct worker *w, struct client *client)
{
    const struct client_opening *o = client->opening;
    struct limits *l = &client->limits;
    *l = w->site->limits;
    l->messages_per_second = 0; /* this one protects servers */
    if (o->message_bytes)
        l->inflated_bytes = 0;
    l->message_bytes = chosen(o->message_bytes, l->message_bytes);
    l->queued_bytes = chosen(o->queued_bytes, l->queued_bytes);
    l->idle_seconds = chosen(o->idle_seconds, l->idle_seconds);
    l->pong_seconds = chosen(o->pong_seconds, l->pong_seconds);
    l->close_seconds = chosen(o->close_seconds, l->close_seconds);
}

static struct handshake_offer offer_of(const struct client *client)
{
    const struct client_opening *o = client->opening;
    return (struct handshake_offer){
        .host = o->authority,
        .target = o->target,
        .protocols = o->protocols,
        .deflate = client->deflate,
        .headers = o->headers,
        .headers_len = o->headers_len,
    };
}

/* Where a redirect points to, as far as it can be shown. */
static void show_location(const struct client_opening *o, char *out, size_t size)
{
    const char *base = (const char *)o->in.data;
    const struct http_field *f = http_head_field(&o->head, base, "location", NULL);
    out[0] = '\0';
    if (!f || f->value.len == 0 || f->value.len >= size - 4)
        return;
    for (uint32_t i = 0; i < f->value.len; i++)
        if (base[f->value.at + i] <= ' ' || base[f->value.at + i] > '~')
            return;
    (void)snprintf(out, size, " to %.*s", (int)f->value.len, base + f->value.at);
}

/* WHATWG: only a 101 opens a connection; redirects are not followed. */
static void refuse_status(struct worker *w, struct conn *c)
{
    const struct client_opening *o = c->client->opening;
    unsigned status = o->head.status;
    const char *reason = http_status_text(status);
    char location[256];
    if (status >= 300 && status < 400 && status != 304) {
        show_location(o, location, sizeof location);
        client_fail(w, c, "the server redirects%s (%u %s): redirects are not followed", location,
                    status, reason);
    } else if (status == 401 && o->url.userinfo.len > 0) {
        client_fail(w, c,
                    "the server answered %u %s instead of 101: user and password of a URL are not "
                    "sent; give the header Authorization",
                    status, reason);
    } else {
        client_fail(w, c, "the server answered %u %s instead of 101", status, reason);
    }
}

static struct ws_opening opening_of(const struct client_opening *o,
                                    const struct handshake_answer *answer)
{
    const char *url = (const char *)o->url.text.data;
    const char *authority = strchr(url, '/') + 2; /* behind "ws://" */
    return (struct ws_opening){
        .route = CLIENT_ROUTE,
        .protocol = answer->protocol,
        .deflate = &answer->deflate,
        .authority = authority,
        .authority_len = (size_t)(url + o->url.target.at - authority),
        .path = o->target,
        .path_len = o->url.target.len - o->url.query.len,
        .query = o->target + o->url.target.len - o->url.query.len,
        .query_len = o->url.query.len,
        .head = &o->head,
        .base = (const char *)o->in.data,
    };
}

/* A whole head with 101. */
static bool open_websocket(struct worker *w, struct conn *c)
{
    struct client *client = c->client;
    struct client_opening *o = client->opening;
    struct handshake_offer offer = offer_of(client);
    struct handshake_answer answer;
    if (handshake_client_check(&answer, &o->head, (const char *)o->in.data, &offer, o->key) < 0) {
        client_fail(w, c, "%s", answer.why);
        return false;
    }
    set_limits(w, client);
    struct ws_opening opening = opening_of(o, &answer);
    int status = ws_conn_start(w, c, &opening);
    client->opening = NULL;
    opening_free(o);
    return status == 0;
}

/* Reads on in the head. Returns the bytes that it used and sets *whole; or ERR_PROTOCOL: it failed. */
static long read_head(struct worker *w, struct conn *c, const uint8_t *data, size_t len,
                      bool *whole)
{
    struct client_opening *o = c->client->opening;
    const struct limits *limits = &w->site->limits;
    const struct http_head_limits bounds = {
        .target_bytes = limits->target_bytes,
        .head_bytes = limits->head_bytes,
        .header_count = limits->header_count,
    };
    size_t had = o->in.len;
    size_t room = bounds.head_bytes > had ? bounds.head_bytes - had : 0;
    size_t taken = len < room ? len : room;
    if (buffer_append(&o->in, data, taken) < 0) {
        client_fail(w, c, "out of memory");
        return ERR_PROTOCOL;
    }
    int status =
        http_head_parse(&o->parser, (const char *)o->in.data, o->in.len, &bounds, &o->head);
    if (status < 0) {
        client_fail(w, c, "the server's answer is not HTTP/1.1: %s", o->parser.why);
        return ERR_PROTOCOL;
    }
    *whole = status == 1;
    return (long)(*whole ? o->head.len - had : taken);
}

/* 100 Continue, 103 Early Hints: the answer comes later. */
static bool is_interim(struct client_opening *o)
{
    if (o->head.status >= 200 || o->head.status == 101 || ++o->interim > INTERIM_ANSWERS_MAX)
        return false;
    o->in.len = 0;
    o->parser = (struct http_head_parser){.response = true};
    return true;
}

/* The head that counts is whole; frames may follow it. */
static void on_answer(struct worker *w, struct conn *c, uint8_t *frames, size_t len)
{
    if (c->client->opening->head.status != 101)
        refuse_status(w, c);
    else if (open_websocket(w, c) && len > 0)
        ws_conn_input(w, c, frames, len);
}

static void on_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    w->in.used += len; /* events may point at frames in it until the batch is done */
    while (len > 0) {
        bool whole = false;
        long used = read_head(w, c, data, len, &whole);
        if (used < 0)
            return;
        data += used;
        len -= (size_t)used;
        if (whole && !is_interim(c->client->opening)) {
            on_answer(w, c, data, len);
            return;
        }
    }
}

/* ---- the request ----------------------------------------------------------------------------- */

static void send_request(struct worker *w, struct conn *c)
{
    struct client *client = c->client;
    struct client_opening *o = client->opening;
    struct handshake_offer offer = offer_of(client);
    uint8_t nonce[HANDSHAKE_NONCE_LEN];
    if (mask_keys_random(nonce, sizeof nonce) < 0) {
        client_fail(w, c, "the system has no random bytes");
        return;
    }
    handshake_key(o->key, nonce);
    c->state = CONN_ANSWER;
    o->parser.response = true;
    conn_deadline_in(w, c, o->handshake_seconds);
    w->scratch.len = 0;
    int err = handshake_request(&w->scratch, &offer, o->key);
    uint8_t *at = err ? NULL : conn_reserve(w, c, w->scratch.len, false);
    if (at)
        memcpy(at, w->scratch.data, w->scratch.len);
    w->scratch.len = 0;
    if (!at) {
        client_fail(w, c, "out of memory");
        return;
    }
    conn_read_on(w, c);
}

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
        client_fail(w, c, "TLS: %s", transport_error(&c->transport));
        return;
    }
    if (tls_resumed(c->transport.tls))
        count(&w->counters, COUNT_TLS_RESUMED, 1);
    send_request(w, c);
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
        send_request(w, c);
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

static char *copy(const char *text, size_t len)
{
    char *to = malloc(len + 1);
    if (to) {
        if (len > 0)
            memcpy(to, text, len);
        to[len] = '\0';
    }
    return to;
}

static char *copy_part(const struct ws_url *u, struct ws_url_part part)
{
    return copy((const char *)u->text.data + part.at, part.len);
}

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

static double seconds_of(double wanted)
{
    return wanted > 0 && wanted <= seconds_max ? wanted : default_seconds;
}

/* Takes the URL. */
static struct client *client_new(const struct mw_connect *options, struct ws_url *url)
{
    struct client *client = calloc(1, sizeof *client);
    struct client_opening *o = calloc(1, sizeof *o);
    if (!client || !o) {
        ws_url_deinit(url);
        free(client);
        free(o);
        return NULL;
    }
    o->url = *url;
    o->host = copy_part(url, url->host);
    o->authority = copy_part(url, url->authority);
    o->target = copy_part(url, url->target);
    o->headers = copy(options->headers, options->headers_len);
    o->headers_len = options->headers_len;
    o->names = copy(options->protocols, options->protocols_len);
    o->connect_seconds = seconds_of(options->connect_seconds);
    o->handshake_seconds = seconds_of(options->handshake_seconds);
    o->message_bytes = options->message_bytes;
    o->queued_bytes = options->queued_bytes;
    o->idle_seconds = options->idle_seconds;
    o->pong_seconds = options->pong_seconds;
    o->close_seconds = options->close_seconds;
    o->concurrent = options->concurrent;
    client->deflate = deflate_options_offer;
    client->deflate.enabled = options->compress;
    client->opening = o;
    if (o->host && o->authority && o->target && o->headers && o->names)
        return client;
    opening_free(o);
    free(client);
    return NULL;
}

/* Files are read before anybody is asked. */
static bool prepare_tls(struct worker *w, struct conn *c, const struct mw_connect *options)
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

static void begin(struct worker *w, struct conn *c, const struct mw_connect *options)
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

double client_connect(struct worker *w, const struct mw_connect *options, const char **why)
{
    struct ws_url url;
    int err = ws_url_parse(&url, options->url, options->url_len, why);
    if (err)
        return err;
    bool secure = url.secure;
    struct client *client = client_new(options, &url);
    if (!client)
        return ERR_MEMORY;
    struct conn *c = NULL;
    err = conn_new(w, &c);
    if (err) {
        opening_free(client->opening);
        free(client);
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

/* ---- roles ----------------------------------------------------------------------------------- */

static void on_eof(struct worker *w, struct conn *c)
{
    client_fail(w, c, "the server ended the connection before it answered");
}

/* A server refuses a TLS 1.3 client's certificate in this state. */
static void on_lost(struct worker *w, struct conn *c, const char *why)
{
    client_fail(w, c, "the connection was lost before the server answered: %s", why);
}

static void on_drain(struct worker *w, struct conn *c)
{
    client_fail(w, c, "the process is ending");
}

const struct conn_role client_connect_role = {
    .ready = on_ready,
    .expired = on_expired,
    .drain = on_drain,
    .ended = on_ended,
};

const struct conn_role client_answer_role = {
    .input = on_input,
    .eof = on_eof,
    .lost = on_lost,
    .expired = on_expired,
    .drain = on_drain,
    .ended = on_ended,
    .free = free_client,
};
