/* What tls.c and tls_context.c share. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "base/map.h"

struct bio_method_st; /* OpenSSL's BIO_METHOD */
struct ssl_ctx_st;    /* OpenSSL's SSL_CTX */

struct tls_context {
    _Atomic unsigned references;
    struct bio_method_st *socket_method; /* how sessions reach their socket */
    struct ssl_ctx_st **by_certificate;  /* [0] is the default */
    size_t count;
    struct map by_name; /* lower-case DNS names, "*.example.com" too, to SSL_CTX */
};

/* A BIO_METHOD whose BIOs have a struct tls_session as data. NULL when out of memory. */
struct bio_method_st *tls_socket_method(void);
