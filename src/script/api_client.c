/* Lua opens a connection. */
#include "script/api_client.h"

#include "engine/client/client.h"

double mw_connect(struct worker *w, const struct connect_options *options, const char **why)
{
    return client_connect(w, options, why);
}
