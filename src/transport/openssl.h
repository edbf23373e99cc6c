/* OpenSSL, loaded when TLS is first wanted: a server without it needs 1.7 MB less.
 *
 * Our code calls OpenSSL as if it were linked, but each function is a jump through a table, which
 * openssl_load fills; before that, none may be called. What has an SSL_CTX has loaded it.
 * tools/openssl_calls.lua finds the functions and makes the jumps. */
#pragma once

#include "transport/tls.h"

/* 0: it is loaded, now or since an earlier call, and stays; else ERR_NOT_FOUND with one line in why.
 * A failure is not remembered: the next call tries again. Any thread may call it at any time. The
 * first takes a millisecond or two. */
int openssl_load(char why[TLS_WHY_BYTES]) __attribute__((warn_unused_result));
