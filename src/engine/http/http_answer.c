/* Heads, bodies and refusals, and the states of a session after them. */
#include "engine/http/http_answer.h"

#include <string.h>

#include "base/error.h"
#include "engine/worker/worker.h"

/* The connection of a peer that takes an answer more slowly is killed. */
enum { BYTES_PER_SECOND = 1024 };

static void set_deadline(struct worker *w, struct conn *c)
{
    c->http->unsent = c->out.queued;
    conn_deadline(w, c, w->site->limits.request_seconds);
}

static void linger(struct worker *w, struct conn *c)
{
    http_session_release(w, c);
    conn_linger(w, c);
}

/* Input goes on to be read, for a socket that is closed with unread bytes is reset, and the peer
 * might lose the answer (RFC 9112 §9.6). */
void http_answer_last(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    s->state = HTTP_ENDED;
    s->in.len = s->held.len = s->held_at = 0;
    http_session_read_on(w, c);
    if (c->out.queued == 0) {
        linger(w, c);
        return;
    }
    set_deadline(w, c);
    conn_dirty(w, c);
}

void http_answer_end(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    s->upgrading = false;
    if (s->close) {
        http_answer_last(w, c);
        return;
    }
    s->state = HTTP_HEAD_WANTED;
    s->have_head = false;
    s->parser = (struct http_head_parser){0};
    s->in.len = 0;
    http_session_trim(&s->body);
    set_deadline(w, c);
    conn_dirty(w, c);
    if (http_session_held(s) > 0 || c->peer_ended)
        conn_resume_later(w, c);
}

void http_answer_done(struct worker *w, struct conn *c)
{
    count(&w->counters, COUNT_REQUESTS, 1);
    http_answer_end(w, c);
}

void http_answer_taken(struct worker *w, struct conn *c)
{
    if (!http_session_live(c))
        return;
    struct http_session *s = c->http;
    if (s->state == HTTP_ENDED) {
        linger(w, c);
    } else if (s->state == HTTP_HEAD_WANTED) {
        if (http_session_held(s) > 0 || c->peer_ended) {
            conn_resume_later(w, c);
        } else if (s->in.len == 0) {
            http_session_release(w, c);
            conn_deadline(w, c, w->site->limits.keep_alive_seconds);
        }
    }
}

int http_answer_queue(struct worker *w, struct conn *c, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t *out = conn_reserve(w, c, len, false);
    if (!out)
        return ERR_MEMORY;
    memcpy(out, data, len);
    return 0;
}

int http_answer_scratch(struct worker *w, struct conn *c)
{
    int status = http_answer_queue(w, c, w->scratch.data, w->scratch.len);
    w->scratch.len = 0;
    return status;
}

int http_answer_head(struct worker *w, struct conn *c, struct http_response *r)
{
    struct http_session *s = c->http;
    if (w->drain_started > 0 || (c->peer_ended && http_session_held(s) == 0))
        s->close = true;
    r->now = (time_t)ev_now(w->loop);
    r->close = s->close;
    r->keep_alive = !s->close && s->head.minor == 0;
    if (http_response_head(&w->scratch, r) < 0) {
        conn_kill(w, c);
        return ERR_MEMORY;
    }
    return http_answer_scratch(w, c);
}

/* After such a status the input may not stand where the next request begins, or its sender cannot
 * be trusted to mean what it says (RFC 9112 §9.3, §11.2), or it has come to the wrong server. 426:
 * it may be a handshake, behind which a proxy lets everything pass (http_conn.c, head_whole). */
static bool ends_connection(unsigned status)
{
    switch (status) {
    case 400:
    case 408:
    case 411:
    case 413:
    case 414:
    case 417:
    case 421:
    case 426:
    case 431:
    case 501:
    case 503:
    case 505:
        return true;
    default:
        return false;
    }
}

static void note_refusal(struct worker *w, struct conn *c, unsigned status, const char *why)
{
    struct http_session *s = c->http;
    if (status < 400) {
        count(&w->counters, COUNT_REQUESTS, 1);
        return;
    }
    bool handshake = s->have_head && (s->head.upgrade_websocket || status == 426);
    count(&w->counters, handshake ? COUNT_REFUSED_HANDSHAKES : COUNT_REFUSED_REQUESTS, 1);
    worker_log_peer(w, LOG_DEBUG, &c->peer, "%s refused with %u: %s",
                    handshake ? "handshake" : "request", status, why);
}

void http_answer_refuse(struct worker *w, struct conn *c, unsigned status, const char *why,
                        const char *headers)
{
    struct http_session *s = c->http;
    s->state = HTTP_BODY_WANTED; /* not idle, so that a flush does not release the session */
    if (s->body_unread || ends_connection(status))
        s->close = true;
    note_refusal(w, c, status, why);
    size_t len = strlen(why);
    struct http_response r = {.status = status,
                              .has_length = true,
                              .content_length = len + 1,
                              .type = "text/plain; charset=utf-8",
                              .headers = headers,
                              .headers_len = headers ? strlen(headers) : 0};
    if (http_answer_head(w, c, &r) < 0)
        return;
    bool head_only = s->have_head && s->head.method == HTTP_HEAD;
    if (!head_only &&
        (http_answer_queue(w, c, why, len) < 0 || http_answer_queue(w, c, "\n", 1) < 0))
        return;
    http_answer_end(w, c);
}

void http_answer_expired(struct worker *w, struct conn *c)
{
    const struct http_session *s = c->http;
    size_t taken = s->unsent > c->out.queued ? s->unsent - c->out.queued : 0;
    if (taken >= (uint64_t)BYTES_PER_SECOND * w->site->limits.request_seconds)
        set_deadline(w, c);
    else
        conn_kill(w, c);
}
