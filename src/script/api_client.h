/* What Lua may call to open a connection, as script/api.h: lua/moonwire/websocket.lua, which declares
 * it when it is first used. */
#pragma once

#include "engine/client/connect.h"
#include "script/api.h"

/* Begins to connect and returns the handle. EVENT_OPEN follows, or EVENT_ERROR with a text and then
 * EVENT_CLOSE 1006; mw_ready_state is 0 until then. mw_close or mw_terminate before EVENT_OPEN make
 * it fail. ERR_INVALID: *why is a static text that says what is wrong with the URL. ERR_LIMIT (too
 * many connections), ERR_MEMORY. Everything else, files that cannot be read too, comes as
 * EVENT_ERROR. The options are borrowed for the call. */
double mw_connect(struct mw_worker *w, const struct mw_connect *options, const char **why);
/* The URL that mw_connect takes, as the url property shows it (WHATWG URL Standard, serializing):
 * http and https become ws and wss. Returns its length (not NUL-terminated); ERR_INVALID with *why as
 * above; ERR_TOO_BIG: longer than size. */
int mw_url_serialize(const char *url, size_t len, char *out, size_t size, const char **why);
