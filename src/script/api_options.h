/* The functions for options of a site that few apps have; lua/moonwire/app/options.lua declares
 * them when it is first used. Their contract is that of script/api_site.h. */
#pragma once

#include <stddef.h>

struct site;

/* Says what files of a folder are sent as when their names end with a dot and this. */
int mw_site_type(struct site *s, int route, const char *ending, size_t ending_len, const char *type,
                 size_t type_len);
/* Adds an address, or a range, of proxies that may connect to a listener, which makes it speak the
 * PROXY protocol: "10.0.0.0/8", "unix:". */
int mw_site_proxy(struct site *s, int listener, const char *range);
