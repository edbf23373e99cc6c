/* Close frames, and what the script is told of the end. */
#include "engine/ws/ws_close.h"

#include <string.h>

#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_aside.h"
#include "engine/ws/ws_output.h"
#include "protocol/close_code.h"

static bool is_open_or_closing(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_CLOSING;
}

const char *ws_close_name_of(const struct worker *w, const struct conn *c)
{
    return c->client ? "a client's connection" : w->site->routes[c->route].pattern;
}

void ws_close_linger(struct worker *w, struct conn *c)
{
    conn_linger(w, c);
    topics_unsubscribe_all(w, c);
    message_reader_deinit(&c->reader);
    ws_aside_drop_input(c);
    if (c->held > 0)
        conn_account(w, c);
}

/* The last event. data must live until the batch is done. */
static void emit_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len, bool clean)
{
    count(&w->counters, COUNT_CLOSED, 1);
    struct event *e = conn_event(w, c, EVENT_CLOSE);
    if (!e)
        return;
    e->code = code;
    e->data = reason;
    e->len = (uint32_t)len;
    e->flag = clean;
}

static int queue_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                       size_t len)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t n = close_encode(payload, code, reason, len);
    return ws_output_control(w, c, FRAME_CLOSE, payload, n, false);
}

/* §7.1.2: what was published or sent before goes out first. */
int ws_close_begin(struct worker *w, struct conn *c, uint16_t code, const char *reason, size_t len)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    topics_unsubscribe_all(w, c);
    if (c->state != CONN_OPEN || queue_close(w, c, code, reason, len) < 0)
        return ERR_CLOSED; /* what was published before was too much for it */
    c->state = CONN_CLOSING;
    conn_pause(w, c, false); /* a script that waits must not keep the peer's Close from us */
    conn_deadline(w, c, conn_limits(w, c)->close_seconds);
    return 0;
}

/* The Close waits for ws_close_finish. code 0: so does the end, without a Close. */
static int put_off_close(struct worker *w, struct conn *c, uint16_t code, const char *reason,
                         size_t len)
{
    int err = ws_aside_put_farewell(c, code, reason, len);
    if (!err)
        conn_resume_later(w, c);
    return err;
}

/* §5.5.1, §7.1.4: both Close frames are there when this one was not the answer to ours. Messages
 * that came in the same turn are not with the script yet: its answers to them, and what it
 * publishes then, go out before ours, as they would had the Close come later. */
void ws_close_answer(struct worker *w, struct conn *c, const struct message *m)
{
    bool answers_first = w->batch.count > 0;
    if (c->state == CONN_OPEN) {
        if (!answers_first)
            topics_unsubscribe_all(w, c);
        if (c->state != CONN_OPEN)
            return;
        if (answers_first &&
            put_off_close(w, c, m->close_code, (const char *)m->data, m->len) < 0) {
            conn_kill(w, c);
            return;
        }
        if (!answers_first && queue_close(w, c, m->close_code, (const char *)m->data, m->len) < 0)
            return;
    }
    c->peer_done = true;
    emit_close(w, c, m->close_code, (const char *)m->data, m->len, true);
    if (!ws_aside_farewell(c))
        ws_close_linger(w, c);
}

void ws_close_finish(struct worker *w, struct conn *c)
{
    const struct ws_farewell *f = ws_aside_farewell(c);
    if (!f)
        return;
    if (c->state == CONN_OPEN) {
        topics_unsubscribe_all(w, c);
        if (c->state != CONN_OPEN || (f->code && queue_close(w, c, f->code, f->reason, f->len) < 0))
            return;
    }
    ws_close_linger(w, c);
}

static void count_failure(struct worker *w, uint16_t code)
{
    if (code == CLOSE_PROTOCOL_ERROR || code == CLOSE_INVALID_DATA)
        count(&w->counters, COUNT_PROTOCOL_ERRORS, 1);
    else if (code == CLOSE_TOO_BIG)
        count(&w->counters, COUNT_TOO_BIG, 1);
}

/* §7.1.7. The peer's Close is not waited for, so the script's code is 1006, as the WHATWG standard
 * has it. But a server's own limits are no fault of the connection: its script learns the code that
 * the client was told. */
static void emit_failure(struct worker *w, struct conn *c, bool told_peer, uint16_t code,
                         const char *why)
{
    bool limit = code == CLOSE_POLICY || code == CLOSE_TOO_BIG || code == CLOSE_TRY_AGAIN;
    if (told_peer && limit && !c->client)
        emit_close(w, c, code, why, strlen(why), false);
    else
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
}

void ws_close_fail(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    if (!is_open_or_closing(c))
        return;
    count_failure(w, code);
    bool told = ws_aside_farewell(c) != NULL; /* the script knows that it is closed */
    bool was_open = c->state == CONN_OPEN;
    if (was_open) {
        worker_log_peer(w, LOG_WARN, &c->peer, "%s: %s: closed with %u", ws_close_name_of(w, c),
                        why, code);
        ws_output_tell_failure(w, c, code, why);
        size_t dropped = outbound_drop(&c->out);
        if (dropped)
            count(&w->counters, COUNT_DROPPED_BYTES, dropped);
        if (queue_close(w, c, code, why, strlen(why)) < 0)
            return;
    }
    if (!told)
        emit_failure(w, c, was_open, code, why);
    ws_close_linger(w, c);
}

void ws_close_fail_behind_answers(struct worker *w, struct conn *c, uint16_t code, const char *why)
{
    if (c->state != CONN_OPEN) {
        ws_close_fail(w, c, code, why); /* our Close is on its way, and no message is delivered */
        return;
    }
    if (put_off_close(w, c, code, why, strlen(why)) < 0) {
        conn_kill(w, c);
        return;
    }
    count_failure(w, code);
    worker_log_peer(w, LOG_WARN, &c->peer, "%s: %s: closed with %u", ws_close_name_of(w, c), why,
                    code);
    ws_output_tell_failure(w, c, code, why);
    emit_failure(w, c, true, code, why);
}

void ws_close_eof(struct worker *w, struct conn *c)
{
    /* It may still read the answers to messages that are not with the script yet. */
    bool answers_first =
        c->state == CONN_OPEN && w->batch.count > 0 && put_off_close(w, c, 0, NULL, 0) == 0;
    emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
    if (!answers_first)
        ws_close_linger(w, c);
}

void ws_close_tell_lost(struct worker *w, struct conn *c)
{
    if (!ws_aside_farewell(c))
        emit_close(w, c, CLOSE_ABNORMAL, NULL, 0, false);
}
