/* What a script asks of a connection that it opens: one struct for C and for LuaJIT's ffi.cdef,
 * which reads this text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connect_options {
    const char *url; /* absolute; ws, wss, http or https */
    size_t url_len;
    const char *protocols; /* subprotocols that are offered, "a, b": distinct tokens; or empty */
    size_t protocols_len;
    const char *headers; /* more lines of the request, by mw_header_append; or empty */
    size_t headers_len;
    const char *ca_file;      /* PEM: authorities in place of the system's; NULL */
    const char *cert_file;    /* PEM: a client's certificate with its chain; NULL */
    const char *key_file;     /* PEM; NULL: in cert_file */
    double connect_seconds;   /* for the name, TCP and TLS in all; 0: 10 */
    double handshake_seconds; /* from the request to the answer; 0: 10 */
    uint32_t message_bytes;   /* limits as in struct limits; 0: the app's */
    uint32_t queued_bytes;
    uint32_t idle_seconds;
    uint32_t pong_seconds;
    uint32_t close_seconds;
    bool insecure;   /* certificates are not verified; the caller says so in the log */
    bool compress;   /* offer permessage-deflate */
    bool concurrent; /* does not wait until others to the same address are open */
};
