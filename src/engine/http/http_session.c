/* The pool of HTTP sessions, and the input that a session holds back. */
#include "engine/http/http_session.h"

#include <stdlib.h>

#include "engine/conn/conn.h"
#include "engine/worker/worker.h"

enum {
    POOL_MAX = 64,         /* most sessions in a worker's pool */
    KEEP_BYTES = 32 * 1024 /* larger buffers are freed when a session goes there */
};

void http_session_trim(struct buffer *b)
{
    if (b->cap > KEEP_BYTES)
        buffer_deinit(b);
    b->len = 0;
}

struct http_session *http_session_get(struct worker *w, struct conn *c)
{
    if (c->http)
        return c->http;
    struct http_session *s = w->free_sessions;
    if (s) {
        w->free_sessions = s->next_free;
        w->free_session_count--;
    } else {
        s = calloc(1, sizeof(*s));
        if (!s)
            return NULL;
    }
    s->next_free = NULL;
    s->state = HTTP_HEAD_WANTED;
    s->have_head = s->body_unread = false;
    s->close = false;
    s->upgrading = false;
    s->unsent = 0;
    s->parser = (struct http_head_parser){0};
    c->http = s;
    return s;
}

static void session_free(struct http_session *s)
{
    buffer_deinit(&s->in);
    buffer_deinit(&s->body);
    buffer_deinit(&s->held);
    free(s);
}

void http_session_release(struct worker *w, struct conn *c)
{
    struct http_session *s = c->http;
    if (!s)
        return;
    c->http = NULL;
    if (w->free_session_count >= POOL_MAX) {
        session_free(s);
        return;
    }
    http_session_trim(&s->in);
    http_session_trim(&s->body);
    http_session_trim(&s->held);
    s->held_at = 0;
    s->next_free = w->free_sessions;
    w->free_sessions = s;
    w->free_session_count++;
}

void http_session_pool_deinit(struct worker *w)
{
    while (w->free_sessions) {
        struct http_session *s = w->free_sessions;
        w->free_sessions = s->next_free;
        session_free(s);
    }
    w->free_session_count = 0;
}

bool http_session_live(const struct conn *c)
{
    return c->state == CONN_HTTP && c->http;
}

size_t http_session_memory(const struct conn *c)
{
    const struct http_session *s = c->http;
    return s ? sizeof(*s) + s->in.cap + s->body.cap + s->held.cap : 0;
}

size_t http_session_held(const struct http_session *s)
{
    return s->held.len - s->held_at;
}

void http_session_read_on(struct worker *w, struct conn *c)
{
    if (!c->input_full)
        return;
    c->input_full = false;
    conn_read_on(w, c);
}

void http_session_hold_back(struct worker *w, struct conn *c, const void *data, size_t len)
{
    struct http_session *s = c->http;
    if (s->held_at == s->held.len)
        s->held_at = s->held.len = 0;
    if (buffer_append(&s->held, data, len) < 0) {
        conn_kill(w, c);
        return;
    }
    if (!c->input_full && http_session_held(s) >= w->site->limits.head_bytes) {
        c->input_full = true;
        conn_watch(w, c);
    }
}

struct http_cursor http_session_input(const struct http_session *s)
{
    return (struct http_cursor){(const char *)s->held.data + s->held_at, http_session_held(s)};
}
