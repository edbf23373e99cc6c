/* The answers of the control socket: one JSON object each, whose fields docs/operations.md names.
 * Every function appends to out and returns 0 or ERR_MEMORY. The main thread's. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "base/buffer.h"
#include "engine/control/control_rounds.h"
#include "engine/reload/reload.h"

/* Which server this is. */
struct control_identity {
    const char *version; /* of moonwire */
    char *app;           /* as the command line has it */
    char *file;          /* the app's, absolute; or NULL */
    time_t since;        /* when it began */
};

/* The reload or rollback that ended last. */
struct control_last_reload {
    char *text; /* NULL: none has */
    bool ok;
    time_t at;
};

/* {"ok":false,"text":…} */
int control_status_refusal(struct buffer *out, const char *text)
    __attribute__((warn_unused_result));
int control_status_about(struct buffer *out, const struct control_identity *identity, bool draining)
    __attribute__((warn_unused_result));
/* rounds: the answers of the round that has just ended. */
int control_status_whole(struct buffer *out, const struct control_identity *identity,
                         const struct control_last_reload *last, struct control_rounds *rounds)
    __attribute__((warn_unused_result));
/* ok: what was asked for came true. */
int control_status_reload(struct buffer *out, bool ok, const struct reload_end *end)
    __attribute__((warn_unused_result));
