/* Sessions that wait for a reload, and for what becomes of the new code. */
#include "engine/control/control_reload.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* request: reload_request or reload_rollback. */
static void ask_attempt(struct control_session *session, bool back,
                        uint32_t (*request)(struct reload *r, const char *cause), const char *cause)
{
    struct server *s = session->control->server;
    if (atomic_load(&s->draining)) {
        control_session_refuse(session, "the server is ending");
        return;
    }
    session->state = SESSION_RELOADING;
    control_session_deadline(session, 4 * admission_limits(&s->admission).reload_seconds +
                                          CONTROL_RELOAD_SECONDS);
    session->back = back;
    session->ticket = request(s->reload, cause);
}

void control_reload(struct control_session *session)
{
    ask_attempt(session, false, reload_request, "moonwire reload");
}

void control_reload_and_wait(struct control_session *session)
{
    session->waits = true;
    control_reload(session);
}

void control_rollback(struct control_session *session)
{
    ask_attempt(session, true, reload_rollback, "moonwire rollback");
}

/* What it has asked for has come true; what serves is watched from now on. */
static void begin_watching(struct control_session *session, const struct reload_end *end)
{
    session->state = SESSION_WATCHING;
    session->generation = end->generation;
    session->deadline_ms = UINT64_MAX; /* the probation has one */
}

static void answer_end(struct control_session *session, const struct reload_end *end)
{
    bool ok = end->ok && end->back == session->back;
    if (ok && session->waits)
        begin_watching(session, end);
    else
        control_session_answer(session, control_status_reload(&session->answer, ok, end));
}

/* Another attempt has ended while the probation was waited for. */
static void answer_watching(struct control_session *session, const struct reload_end *end)
{
    char text[128];
    struct reload_end told = *end;
    if (!end->ok && !end->by_itself)
        return; /* a reload that failed: what is watched serves on */
    snprintf(text, sizeof(text),
             "generation %u took the place of generation %u before its probation was over",
             end->generation, session->generation);
    if (!end->by_itself)
        told.text = text;
    control_session_answer(session, control_status_reload(&session->answer, false, &told));
}

void control_reload_kept(struct control_session *session)
{
    char text[RELOAD_WHY_BYTES];
    struct reload *r = session->control->server->reload;
    reload_kept(r, text, sizeof(text));
    const struct reload_end end = {.ok = true, .generation = session->generation, .text = text};
    control_session_answer(session, control_status_reload(&session->answer, true, &end));
}

void control_reload_ended(struct reload_observer *o, const struct reload_end *end)
{
    struct control *c = (struct control *)(void *)((char *)o - offsetof(struct control, observer));
    free(c->last_reload.text);
    c->last_reload = (struct control_last_reload){strdup(end->text), end->ok, clock_wall_s()};
    for (unsigned i = 0; i < CONTROL_SESSIONS; i++) {
        struct control_session *session = &c->sessions[i];
        if (session->state == SESSION_RELOADING && (int32_t)(end->ticket - session->ticket) >= 0)
            answer_end(session, end);
        else if (session->state == SESSION_WATCHING)
            answer_watching(session, end);
    }
}
