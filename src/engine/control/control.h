/* The control socket of a server that runs: moonwire reload, rollback and status ask here. A line
 * comes in, one JSON object goes out, and that is the end (docs/reload.md says what is in it).
 *
 * The main thread's loop serves it. It never waits for a client, and there is a limit on everything
 * that one can hold: clients at once, the bytes of a request, the time until it is whole, until its
 * answer is there and until that is read. Only the server's own user and the superuser are answered. */
#pragma once

#include "engine/server/server.h"

enum {
    CONTROL_CLIENTS =
        16, /* at once; one more takes the place of the oldest that we wait for, or waits */
    CONTROL_REQUEST_BYTES = 64,
    CONTROL_REQUEST_SECONDS = 2,
    CONTROL_STATUS_SECONDS = 1,  /* a worker that has not answered then is in a hook */
    CONTROL_RELOAD_SECONDS = 10, /* beyond what two attempts may last */
    CONTROL_ANSWER_SECONDS = 10  /* for a client to read all of it */
};

struct control;
struct worker;

struct control_options {
    const char *path;    /* NULL: where control_place.h says */
    const char *app;     /* as the command line has it */
    const char *file;    /* the app's, or NULL when it is none */
    const char *version; /* of moonwire; borrowed, as the others for the call only are not */
};

/* Opens the socket; it is not answered yet. 0 with *out, or a negative enum error with one line in
 * why. */
int control_new(struct control **out, struct server *s, const struct control_options *options,
                char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* Answers from now on; s->reload is there. */
void control_start(struct control *c);
/* Removes the socket. Before control_free, for a process that ends otherwise. */
void control_close(struct control *c);
/* After reload_deinit: that knows c. NULL is allowed. */
void control_free(struct control *c);
