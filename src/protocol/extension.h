/* Sec-WebSocket-Extensions (RFC 6455 §9.1) and the agreement on permessage-deflate (RFC 7692 §5,
 * §7.1). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was agreed. */
struct deflate_params {
    bool enabled;
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    bool server_bits_named; /* the offer named server_max_window_bits: so must the answer, even
                                     * when it is 15 (RFC 7692 §7.1.2.1) */
    uint8_t server_max_window_bits; /* 8..15; 15 when not named */
    uint8_t client_max_window_bits;
};

/* What a route wants. */
struct deflate_options {
    bool enabled;
    bool server_no_context_takeover;
    bool client_no_context_takeover; /* ask clients not to keep theirs */
    uint8_t server_max_window_bits;  /* 9..15 */
    uint8_t client_max_window_bits;  /* 9..15: asked of clients that say they can */
    uint8_t level;                   /* 1..9 */
    uint8_t memory_level;            /* 1..9 */
    uint32_t min_bytes;              /* shorter messages are sent as they are */
    uint32_t memory_bytes; /* budget of one connection for windows; 0: none. A context that
                                       * does not fit is agreed away (no_context_takeover) */
};

extern const struct deflate_options deflate_options_default;
/* What a client offers: to demand less of the server than its largest window would make those that
 * cannot promise it decline (RFC 7692 §7.1.2.1). */
extern const struct deflate_options deflate_options_offer;

/* Server: choose from one field value. Takes the first offer of permessage-deflate whose parameters
 * are all known, valid and not repeated, and that the options can honour; declines otherwise
 * (out->enabled false). A server's window of 8 bits is declined: zlib cannot deflate with it.
 * Where options->memory_bytes is not enough for both contexts, windows shrink as far as 9 bits (the
 * client's only if it offered client_max_window_bits); if that is not enough either, contexts are
 * given up, the server's first, which is the larger.
 * Returns 0, or ERR_PROTOCOL only for a value that is not a list of extensions at all (RFC 6455
 * §9.1: answer 400). */
int extension_accept(const char *value, size_t len, const struct deflate_options *options,
                     struct deflate_params *out);

enum { EXTENSION_TEXT_MAX = 160 }; /* bytes that the next two may write */

/* Writes "permessage-deflate; …" for what was agreed; not NUL-terminated. Only what the peer must be
 * told. Returns the length; 0 when nothing was agreed. */
size_t extension_response(char *out, const struct deflate_params *params);

/* Client: the offer. server_max_window_bits below 15 and the two no_context_takeover are demands
 * and hints as in RFC 7692 §7.1; client_max_window_bits is always offered. Returns the length; 0 when
 * the options are not enabled. */
size_t extension_offer(char *out, const struct deflate_options *options);

/* Client: read the server's answer to that offer. 0 with *out; ERR_PROTOCOL for anything that was not
 * offered (RFC 6455 §4.1 item 5): another extension, permessage-deflate twice, a parameter that is
 * unknown, repeated, out of range or larger than offered; a demand of ours that is not in the answer
 * (RFC 7692 §7.1.1.1, §7.1.2.1); a client window of 8 bits, which zlib cannot make. */
int extension_check(const char *value, size_t len, const struct deflate_options *options,
                    struct deflate_params *out);
