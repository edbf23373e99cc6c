/* Lua asks for the names of limits and of compression options. */
#include "script/api_names.h"

#include "base/limits.h"
#include "engine/ground/site_options.h"

const char *mw_limit_name(unsigned i)
{
    return limits_name(i);
}

const char *mw_compress_name(unsigned i)
{
    return site_compress_name(i);
}
