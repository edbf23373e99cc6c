/* The control socket of a running server: moonwire reload, rollback and status ask here. The peer
 * sends one line, gets one JSON object, whose fields docs/operations.md names, and the session
 * ends.
 *
 * The main thread's loop serves it and never waits for a peer. Everything that a peer can hold is
 * limited (control_session.h): sessions at once, the bytes of a request, the time until it is
 * whole, until its answer is made and until that is read. Only the server's own user and the
 * superuser are answered. */
#pragma once

#include "engine/server/server.h"

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
