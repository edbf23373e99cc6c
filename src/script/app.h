/* The user's app in every worker: each has a script of its own, which loads the app, also again
 * when the app is reloaded. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/server/server.h"

struct script;
struct script_source;

struct app {
    struct script *script;
    const struct script_source *source;
    uint32_t connections; /* the most that limits.connections may be */
};

/* Runs the app's top level in every worker of the server and commits what it declares. apps has one
 * struct for each worker, all zero. They and the source are borrowed until app_stop. connections:
 * the most that the system leaves room for; a higher limits.connections is lowered to it.
 *
 * Returns 0, or a negative error with one line in why; app_stop is due in both cases. The workers
 * own their sites. The app may have ended the process meanwhile (server_exiting): the workers
 * behind that one have loaded nothing then. */
int app_load(struct app *apps, struct server *s, const struct script_source *source,
             uint32_t connections, char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* The app is a script, which nobody waits for: what does not return in it is not stopped. */
void app_unwatch(struct app *apps, uint32_t n);
/* Frees the scripts of n workers, which must still exist while their threads have ended. */
void app_stop(struct app *apps, uint32_t n);
