/* Checks the handshake, answers with 101, and hands the connection over to WebSocket. */
#include "engine/http/http_upgrade.h"

#include <string.h>

#include "base/error.h"
#include "engine/ground/site_succession.h"
#include "engine/http/http_answer.h"
#include "engine/http/origin_advice.h"
#include "engine/worker/worker.h"
#include "engine/ws/ws_conn.h"
#include "engine/ws/ws_input.h"

const char http_upgrade_wanted[] =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

/* Reads the bytes that came behind the handshake. The reader works in place, and the batch's events
 * point into its input: so the batch owns these bytes from now on. */
static void input_to_websocket(struct worker *w, struct conn *c, struct buffer *rest)
{
    if (rest->len == 0) {
        buffer_deinit(rest);
        return;
    }
    if (batch_own(&w->batch, rest->data, rest->cap) < 0) {
        buffer_deinit(rest);
        conn_kill(w, c);
        return;
    }
    ws_input(w, c, rest->data, rest->len);
}

static struct ws_opening opening_of(const struct http_session *s, const char *protocol,
                                    const struct deflate_params *deflate)
{
    const char *base = (const char *)s->in.data;
    const struct http_head *head = &s->head;
    bool has_query = head->query.len > 0;
    return (struct ws_opening){
        .route = s->match.target,
        .protocol = protocol,
        .deflate = deflate,
        .authority = base + head->host.at,
        .authority_len = head->host.len,
        .path = base + head->path.at,
        .path_len = head->path.len,
        .query = base + head->query.at - has_query,
        .query_len = head->query.len + has_query,
        .head = head,
        .base = base,
    };
}

static int start_websocket(struct worker *w, struct conn *c, const char *protocol,
                           const char *headers, size_t headers_len, struct http_cursor *cur)
{
    struct http_session *s = c->http;
    struct deflate_params deflate = s->handshake.deflate;
    struct buffer rest = {0};
    const char *key = (const char *)s->in.data + s->handshake.key.at;
    if (buffer_append(&rest, cur->data, cur->len) < 0 ||
        handshake_response(&w->scratch, key, protocol, &deflate, headers, headers_len) < 0) {
        buffer_deinit(&rest);
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    cur->len = 0;
    s->state = HTTP_BODY_WANTED;
    struct ws_opening opening = opening_of(s, protocol, &deflate);
    /* The app may have been loaded again while the script thought about it. */
    uint32_t living = site_living(w->site, s->match.target);
    bool gone = living == SITE_NOWHERE;
    opening.route = gone ? s->match.target : living;
    if (http_answer_scratch(w, c) < 0 || ws_conn_start(w, c, &opening) < 0) {
        buffer_deinit(&rest);
        return ERR_MEMORY;
    }
    if (gone)
        ws_conn_close_gone(w, c);
    http_session_release(w, c);
    http_session_read_on(w, c);
    input_to_websocket(w, c, &rest);
    if (c->peer_ended && (c->state == CONN_OPEN || c->state == CONN_CLOSING))
        ws_conn_eof(w, c);
    return 0;
}

static void refuse(struct worker *w, struct conn *c)
{
    const struct handshake *h = &c->http->handshake;
    const char *why = h->why;
    const char *headers = NULL;
    char advice[ORIGIN_ADVICE_BYTES];
    if (h->status == 405) {
        headers = "Allow: GET\r\n";
    } else if (h->status == 426) {
        headers = http_upgrade_wanted;
    } else if (h->status == 403) {
        origin_advice(w, c, advice);
        why = w->watch_mode ? advice : why;
    }
    http_answer_refuse(w, c, h->status, why, headers);
}

bool http_upgrade_begin(struct worker *w, struct conn *c, struct http_cursor *cur)
{
    struct http_session *s = c->http;
    const struct site_route *route = &w->site->routes[s->match.target];
    if (handshake_check(&s->handshake, &s->head, (const char *)s->in.data, &route->handshake,
                        c->secure) < 0) {
        refuse(w, c);
        return false;
    }
    if (memory_held(w->budget) > memory_limit(w->budget)) {
        http_answer_refuse(w, c, 503, "the server is short of memory", NULL);
        return false;
    }
    if (!route->has_upgrade) {
        (void)start_websocket(w, c, s->handshake.protocol, NULL, 0, cur);
        return false;
    }
    s->upgrading = true;
    return true;
}

int http_upgrade_accept(struct worker *w, struct conn *c, const char *protocol, size_t protocol_len,
                        const char *headers, size_t headers_len)
{
    struct http_session *s = c->http;
    char name[256];
    if (!s->upgrading || protocol_len >= sizeof(name))
        return ERR_INVALID;
    const char *chosen = s->handshake.protocol;
    if (protocol) {
        if (protocol_len > 0 &&
            !handshake_offers(&s->head, (const char *)s->in.data, protocol, protocol_len))
            return ERR_INVALID;
        memcpy(name, protocol, protocol_len);
        name[protocol_len] = '\0';
        chosen = protocol_len > 0 ? name : NULL;
    }
    struct http_cursor cur = http_session_input(s);
    return start_websocket(w, c, chosen, headers, headers_len, &cur);
}
