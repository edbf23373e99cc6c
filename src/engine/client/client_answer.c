/* From a connected socket to an open WebSocket, or to the reason why not. */
#include "engine/client/client_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/client/client_opening.h"
#include "engine/ws/ws_conn.h"
#include "engine/ws/ws_input.h"
#include "protocol/http_response.h"

enum { INTERIM_ANSWERS_MAX = 8 }; /* 1xx before the one that counts (RFC 9110 §15.2) */

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
    client_opening_done(client);
    return status == 0;
}

/* Reads on in the head. Returns the bytes that it used and sets *whole; or ERR_PROTOCOL: it
 * failed. */
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
        ws_input(w, c, frames, len);
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

void client_answer_begin(struct worker *w, struct conn *c)
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

/* ---- the role -------------------------------------------------------------------------------- */

static void on_eof(struct worker *w, struct conn *c)
{
    client_fail(w, c, "the server ended the connection before it answered");
}

/* A server refuses a TLS 1.3 client's certificate in this state. */
static void on_lost(struct worker *w, struct conn *c, const char *why)
{
    client_fail(w, c, "the connection was lost before the server answered: %s", why);
}

static void on_expired(struct worker *w, struct conn *c)
{
    const struct client_opening *o = c->client->opening;
    count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
    client_fail(w, c, "%s did not answer the opening handshake within %g seconds", o->authority,
                o->handshake_seconds);
}

static void free_client(struct worker *w, struct conn *c)
{
    (void)w;
    client_free(c->client);
    c->client = NULL;
}

const struct conn_role client_answer_role = {
    .input = on_input,
    .eof = on_eof,
    .lost = on_lost,
    .expired = on_expired,
    .drain = client_drain,
    .ended = client_ended,
    .free = free_client,
};
