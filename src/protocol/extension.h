/* Sec-WebSocket-Extensions (RFC 6455 §9.1) and the agreement on permessage-deflate (RFC 7692 §5,
 * §7.1). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The agreement. */
struct deflate_params {
    bool enabled;
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    /* The offer named server_max_window_bits, so the answer must name it too, even when it is 15
     * (RFC 7692 §7.1.2.1). */
    bool server_bits_named;
    uint8_t server_max_window_bits; /* 8..15; 15 when not named */
    uint8_t client_max_window_bits;
};

/* The wishes of a route or a client. */
struct deflate_options {
    bool enabled;
    bool server_no_context_takeover;
    bool client_no_context_takeover; /* ask clients not to keep theirs */
    uint8_t server_max_window_bits;  /* 9..15 */
    uint8_t client_max_window_bits;  /* 9..15: asked of clients that say they can */
    uint8_t level;                   /* 1..9 */
    uint8_t memory_level;            /* 1..9 */
    uint32_t min_bytes;              /* shorter messages are sent as they are */
    /* The budget of one connection for windows; 0 for no budget. A context that does not fit is
     * agreed away (no_context_takeover). */
    uint32_t memory_bytes;
};

extern const struct deflate_options deflate_options_default;
/* A client's offer. It takes the server's largest window: a server that cannot promise a smaller
 * one would decline (RFC 7692 §7.1.2.1). */
extern const struct deflate_options deflate_options_offer;

/* A server's choice from one field value. Takes the first offer of permessage-deflate whose
 * parameters are all known, valid and not repeated, and that the options can honour; else declines
 * (out->enabled is false). A server's window of 8 bits is declined, since zlib cannot deflate with
 * it. Where options->memory_bytes is not enough for both contexts, windows shrink as far as 9 bits
 * (the client's only if it offered client_max_window_bits). If that is not enough either, contexts
 * are given up, first the server's, which is the larger. Returns 0, or ERR_PROTOCOL for a value
 * that is not a list of extensions at all (RFC 6455 §9.1), to be answered with 400. */
int extension_accept(const char *value, size_t len, const struct deflate_options *options,
                     struct deflate_params *out) __attribute__((warn_unused_result));

enum { EXTENSION_TEXT_MAX = 160 }; /* the most bytes that the next two write */

/* Writes the server's answer "permessage-deflate; …", with only those parameters that the client
 * must be told, and without a NUL. Returns the length, 0 when nothing was agreed. */
size_t extension_response(char *out, const struct deflate_params *params);

/* Writes a client's offer, without a NUL. A server_max_window_bits below 15 and the two
 * no_context_takeover are demands and hints (RFC 7692 §7.1); client_max_window_bits is always
 * offered. Returns the length, 0 when the options are not enabled. */
size_t extension_offer(char *out, const struct deflate_options *options);

/* A client reads the server's answer to that offer. Returns 0 with *out, or ERR_PROTOCOL for an
 * answer that was not offered (RFC 6455 §4.1 item 5): another extension, permessage-deflate twice,
 * a parameter that is unknown, repeated, out of range or larger than offered; without a demand of
 * ours (RFC 7692 §7.1.1.1, §7.1.2.1); or with a client window of 8 bits, which zlib cannot make. */
int extension_check(const char *value, size_t len, const struct deflate_options *options,
                    struct deflate_params *out) __attribute__((warn_unused_result));
