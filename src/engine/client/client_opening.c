/* The making and the failing of a connection that is not open yet. */
#include "engine/client/client_opening.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/close_code.h"

enum { ERROR_TEXT_MAX = 768 };

static const double default_seconds = 10;
static const double seconds_max = 1000000;

/* ---- life ------------------------------------------------------------------------------------ */

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

void client_opening_done(struct client *client)
{
    opening_free(client->opening);
    client->opening = NULL;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    opening_free(client->opening);
    free(client);
}

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

static double seconds_of(double wanted)
{
    return wanted > 0 && wanted <= seconds_max ? wanted : default_seconds;
}

struct client *client_opening_new(const struct connect_options *options, struct ws_url *url)
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
    client_free(client);
    return NULL;
}

/* ---- failing --------------------------------------------------------------------------------- */

/* Takes the text. */
static void emit_failure(struct worker *w, struct conn *c, char *text)
{
    if (batch_own(&w->batch, text, strlen(text)) < 0) {
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

void client_fail_tls(struct worker *w, struct conn *c)
{
    char text[ERROR_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "TLS: %s", transport_error(&c->transport));
    tell(w, c, strdup(text));
    conn_lose_tls(w, c);
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

void client_ended(struct worker *w, struct conn *c)
{
    struct client_opening *o = c->client->opening;
    dial_stop(&o->dial);
    if (!o->failed)
        tell(w, c, strdup("the connection was lost before it was open"));
}

void client_drain(struct worker *w, struct conn *c)
{
    client_fail(w, c, "the process is ending");
}
