/* The user's app in every worker: a script for each, which loads it, again and again. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/server/server.h"
#include "main/options.h"

struct script;

struct app {
    struct script *script;
    const struct options *options;
    uint32_t connections; /* what limits.connections may at most be */
};

/* Runs the app's top level in every worker of the server and commits what it declares. apps has one
 * for each worker, all zero. connections: what limits.connections may at most be. 0, or a negative error with one line in why; app_stop is due in
 * either case. The workers own their sites. */
int app_load(struct app *apps, struct server *s, const struct options *o, uint32_t connections,
             char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* Ends the scripts. When the workers' threads have ended, while the workers are still there. */
void app_stop(struct app *apps, uint32_t n);

/* For people: routes and listeners, to standard output. */
void app_print(const struct site *site, const struct options *o);
