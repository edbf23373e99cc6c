/* The function by which Lua opens a connection. lua/moonwire/websocket.lua declares it when it is
 * first used; all other functions for such a connection are in script/api.h. */
#pragma once

#include "engine/client/connect.h"

struct worker;

/* Begins to connect and returns the handle. EVENT_OPEN follows; or EVENT_ERROR with a text and then
 * EVENT_CLOSE 1006. Until then mw_ready_state is 0, and mw_close or mw_terminate make it fail. The
 * options are borrowed for the call.
 *
 * ERR_INVALID: the URL is wrong, and *why is a static text that says how; ERR_LIMIT: there are too
 * many connections; ERR_MEMORY. All other failures come as EVENT_ERROR, that of a file which cannot
 * be read too. */
double mw_connect(struct worker *w, const struct connect_options *options, const char **why);
