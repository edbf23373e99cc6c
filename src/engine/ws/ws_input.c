/* Messages become events, pings are answered, a Close is handed on; and how long a message may
 * take. */
#include "engine/ws/ws_input.h"

#include <stdlib.h>

#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/ws/ws_aside.h"
#include "engine/ws/ws_close.h"
#include "engine/ws/ws_output.h"
#include "protocol/close_code.h"

static bool is_open_or_closing(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_CLOSING;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Counts n of what messages_per_second limits: what costs us something, whether or not the script
 * hears of it. False: it was too much, and the connection is failing. */
static bool take_rate(struct worker *w, struct conn *c, uint32_t n)
{
    uint32_t per_second = conn_limits(w, c)->messages_per_second;
    if (per_second == 0 || c->state != CONN_OPEN)
        return true;
    uint32_t second = worker_tick(w) / WORKER_TICKS_PER_SECOND;
    if (second != c->rate_second) {
        c->rate_second = second;
        c->rate_count = 0;
    }
    c->rate_count = n > UINT32_MAX - c->rate_count ? UINT32_MAX : c->rate_count + n;
    if (c->rate_count <= per_second)
        return true;
    count(&w->counters, COUNT_RATE_OVERFLOWS, 1);
    ws_close_fail_behind_answers(w, c, CLOSE_POLICY,
                                 "more messages than messages_per_second allows");
    return false;
}

/* A text or binary message, on its way to the script. */
static void on_message(struct worker *w, struct conn *c, struct message *m)
{
    count(&w->counters, COUNT_MESSAGES_IN, 1);
    if (!take_rate(w, c, 1))
        return;
    bool owned = m->block != NULL;
    if (owned && batch_own(&w->batch, m->block, m->len) < 0) {
        conn_kill(w, c);
        return;
    }
    m->block = NULL;
    struct event *e = conn_event(w, c, EVENT_MESSAGE);
    if (!e) {
        conn_kill(w, c);
        return;
    }
    e->code = owned;
    e->data = (const char *)m->data;
    e->len = (uint32_t)m->len;
    e->flag = m->kind == MESSAGE_BINARY;
}

static void on_item(struct worker *w, struct conn *c, struct message *m)
{
    switch (m->kind) {
    case MESSAGE_TEXT:
    case MESSAGE_BINARY:
        if (c->state == CONN_OPEN) /* WHATWG: not delivered while closing */
            on_message(w, c, m);
        break;
    case MESSAGE_PING: /* §5.5.2: also between our Close and the peer's */
        if (is_open_or_closing(c) && take_rate(w, c, 1) &&
            ws_output_control(w, c, FRAME_PONG, m->data, m->len, c->blocked) == ERR_MEMORY)
            conn_kill(w, c);
        break;
    case MESSAGE_CLOSE:
        if (m->block && batch_own(&w->batch, m->block, m->len) < 0) { /* the event points there */
            conn_kill(w, c);
            break;
        }
        m->block = NULL;
        ws_close_answer(w, c, m);
        break;
    default: /* a Pong only shows that the peer lives */
        break;
    }
    free(m->block);
}

static struct message_rules rules_of(struct worker *w, const struct conn *c)
{
    const struct limits *limits = conn_limits(w, c);
    struct message_rules rules = {.from_client = !c->client,
                                  .message_bytes = limits->message_bytes,
                                  .inflated_bytes = limits->inflated_bytes};
    if (c->deflate) {
        const struct deflate_params *p = &c->deflate->params;
        rules.compressed = true;
        rules.inflate_context =
            c->client ? !p->server_no_context_takeover : !p->client_no_context_takeover;
        rules.inflate_bits = c->client ? p->server_max_window_bits : p->client_max_window_bits;
        rules.spare = &w->inflater;
    }
    return rules;
}

/* ---- input ----------------------------------------------------------------------------------- */

/* The script gets what there is first. Meanwhile the socket is not read. */
static void hold_back(struct worker *w, struct conn *c, const uint8_t *data, size_t len)
{
    if (ws_aside_hold(c, data, len) < 0) {
        conn_kill(w, c);
        return;
    }
    c->input_full = true;
    conn_watch(w, c);
    conn_resume_later(w, c);
}

void ws_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    if (ws_aside_farewell(c))
        return; /* §5.5.1: nothing counts after a Close */
    if (c->state == CONN_OPEN) {
        c->ping_sent = false;
        conn_deadline(w, c, conn_limits(w, c)->idle_seconds);
    }
    struct message_rules rules = rules_of(w, c);
    uint32_t empty_fragments = 0;
    rules.empty_fragments = &empty_fragments;
    struct message m;
    const char *why = "";
    int status = 0;
    while (is_open_or_closing(c) && !ws_aside_farewell(c) &&
           (status = message_read(&c->reader, &rules, &data, &len, &m, &why)) == 1) {
        on_item(w, c, &m);
        if (w->batch.owned_bytes >= BATCH_OWNED_MAX && len > 0 && is_open_or_closing(c)) {
            hold_back(w, c, data, len);
            break;
        }
    }
    if (empty_fragments > 0 && !ws_aside_farewell(c))
        (void)take_rate(w, c, empty_fragments);
    if (status < 0 && !ws_aside_farewell(c))
        ws_close_fail_behind_answers(w, c, close_code_for(status), why);
    else if (c->reader.partial && c->state == CONN_OPEN)
        ws_input_deadline(w, c, conn_limits(w, c)->idle_seconds);
    if (c->reader.partial || c->reader.inflater || c->held > 0)
        conn_account(w, c);
}

void ws_input_resume(struct worker *w, struct conn *c)
{
    if (!c->input_full || c->paused || !is_open_or_closing(c))
        return;
    struct buffer held = ws_aside_take(c);
    c->input_full = false;
    if (batch_own(&w->batch, held.data, held.cap) < 0) {
        buffer_deinit(&held);
        conn_kill(w, c);
        return;
    }
    ws_input(w, c, held.data, held.len);
    if (!c->input_full && c->state != CONN_DEAD)
        conn_read_on(w, c);
}

/* ---- time ------------------------------------------------------------------------------------ */

void ws_input_deadline(struct worker *w, struct conn *c, uint32_t seconds)
{
    conn_deadline(w, c, seconds);
    uint32_t *late = message_mark(&c->reader);
    uint32_t message_seconds = conn_limits(w, c)->message_seconds;
    if (!late || message_seconds == 0)
        return;
    if (*late == 0)
        *late = worker_tick(w) + message_seconds * WORKER_TICKS_PER_SECOND;
    uint32_t *deadline = conn_deadline_at(w, c->slot);
    if (*deadline == 0 || *late < *deadline)
        *deadline = *late;
}

bool ws_input_is_late(const struct worker *w, struct conn *c)
{
    const uint32_t *late = message_mark(&c->reader);
    return late && *late > 0 && *late <= worker_tick(w) && conn_limits(w, c)->message_seconds > 0;
}

void ws_input_forgive(struct conn *c)
{
    uint32_t *late = message_mark(&c->reader);
    if (late)
        *late = 0;
}
