/* One conversation over the control socket: a request, and an answer that may take a while. For the
 * files of this room. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/control/control_rounds.h"
#include "engine/control/control_status.h"
#include "engine/reload/reload.h"
#include "transport/listening.h"

enum {
    /* At once. A further one replaces the oldest whose peer keeps us waiting, or else waits. */
    CONTROL_SESSIONS = 16,
    CONTROL_REQUEST_BYTES = 64,
    CONTROL_REQUEST_SECONDS = 2,
    CONTROL_RELOAD_SECONDS = 10, /* beyond what two attempts may last */
    CONTROL_ANSWER_SECONDS = 10  /* for the peer to read all of it */
};

enum control_session_state {
    SESSION_FREE,
    SESSION_READING,
    SESSION_RELOADING,
    SESSION_WATCHING,
    SESSION_GATHERING,
    SESSION_ANSWERING
};

struct control_session {
    struct control *control;
    enum control_session_state state;
    ev_io io;
    uint64_t since_ms;
    uint64_t deadline_ms;
    bool back;           /* RELOADING: by a rollback */
    bool waits;          /* RELOADING: WATCHING follows, until the probation is over */
    uint32_t generation; /* WATCHING: that it asked for */
    uint32_t ticket;     /* RELOADING: of the request; GATHERING: the round that answers it */
    size_t request_len;
    char request[CONTROL_REQUEST_BYTES];
    struct buffer answer;
    size_t written;
};

struct control {
    struct server *server;
    struct reload_observer observer;
    struct control_rounds rounds;
    struct control_identity identity;
    struct control_last_reload last_reload;
    struct listening socket; /* its fd is -1: closed */
    ev_io accept;
    ev_timer look;
    struct control_session sessions[CONTROL_SESSIONS];
    uint32_t session_count;
    bool paused; /* nobody is accepted until a session ends, or the next look */
};

/* Closes its socket: its place is free. */
void control_session_end(struct control_session *session);
/* Which events of its socket it wants; 0: none. */
void control_session_wait(struct control_session *session, int events);
void control_session_deadline(struct control_session *session, uint32_t seconds);
/* Sends what the system takes of the answer, and ends the session when that is all. */
void control_session_write(struct control_session *session);
/* Sends session->answer, or ends the session when err says that it could not be made. The session
 * may have ended in either case. */
void control_session_answer(struct control_session *session, int err);
/* Answers that it cannot be done, and why. */
void control_session_refuse(struct control_session *session, const char *text);

/* There may be a place again: accepts, if it had stopped. */
void control_accept_again(struct control *c);
/* Looks at deadlines from now on. */
void control_look_again(struct control *c);
