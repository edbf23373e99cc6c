/* The wait after a first load that failed, in watch mode: until a file of the app changes. */
#pragma once

#include <stdbool.h>

#include "engine/server/server.h"

/* Waits in the main thread's loop until the app's file, or another one that the load has read or
 * looked for (in the sites of the workers that have one), or a certificate of its listeners, is
 * another. No worker's thread runs.
 * Returns true when one is; false when the process was told to end (server_drain), or when the
 * system gives no inotify, which is logged. */
bool first_load_wait(struct server *s, const char *app) __attribute__((warn_unused_result));
