/* The names of an app's numbers. lua/moonwire/app/numbers.lua declares these functions when it is
 * first used. */
#pragma once

/* The name of the limit number i, from 0, and of the compression option number i; NULL past the
 * last. */
const char *mw_limit_name(unsigned i);
const char *mw_compress_name(unsigned i);
