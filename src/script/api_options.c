/* Lua declares rare options of a site. */
#include "script/api_options.h"

#include "engine/ground/site.h"
#include "engine/ground/site_routes.h"

int mw_site_type(struct site *s, int route, const char *ending, size_t ending_len, const char *type,
                 size_t type_len)
{
    return site_add_type(s, route, ending, ending_len, type, type_len);
}

int mw_site_proxy(struct site *s, int listener, const char *range)
{
    return site_add_proxy(s, listener, range);
}
