/* The control socket of a running server: moonwire reload, rollback and status ask here. The peer
 * sends one line, gets one JSON object, whose fields docs/operations.md names, and the session
 * ends.
 *
 * The main thread's loop serves it and never waits for a peer. Everything that a peer can hold is
 * limited: sessions at once, the bytes of a request, the time until it is whole, until its answer
 * is made and until that is read. Only the server's own user and the superuser are answered. */
#pragma once

#include "engine/server/server.h"

enum {
    /* At once. A further one replaces the oldest whose peer keeps us waiting, or else waits. */
    CONTROL_SESSIONS = 16,
    CONTROL_REQUEST_BYTES = 64,
    CONTROL_REQUEST_SECONDS = 2,
    CONTROL_RELOAD_SECONDS = 10, /* beyond what two attempts may last */
    CONTROL_ANSWER_SECONDS = 10  /* for the peer to read all of it */
};

struct control;

struct control_options {
    const char *path;    /* of the socket; NULL: where control_place says */
    const char *app;     /* as the command line has it */
    const char *file;    /* the app's; NULL: the app is not a file */
    const char *version; /* of moonwire; not copied: it must outlive the control */
};

/* Opens the socket, which is not answered yet. 0 with *out, or a negative error with one line in
 * why. */
int control_new(struct control **out, struct server *s, const struct control_options *options,
                char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* Answers from now on. s->reload must be there. */
void control_start(struct control *c);
/* Removes the socket; idempotent. For a process that ends without control_free. */
void control_close(struct control *c);
/* After reload_deinit, since the reload tells c of its ends. c may be NULL. */
void control_free(struct control *c);
