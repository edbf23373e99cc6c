/* Sets of peers' addresses: whom a listener lets do something. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/address.h"

enum { ADDRESS_RANGES_MAX = 32 };

struct address_range {
    struct address base; /* its family, and bytes that are 0 beyond bits */
    uint8_t bits;        /* how many of them count; 0 for AF_UNIX */
};

/* Equal sets that were made in the same order have equal bytes. */
struct address_ranges {
    uint32_t count;
    struct address_range list[ADDRESS_RANGES_MAX];
};

/* Adds what text says: "127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", or "unix:" for every peer of a
 * unix socket. Returns 0; ERR_INVALID: it says none of these, or has bits beyond its prefix; or
 * ERR_LIMIT: there are ADDRESS_RANGES_MAX. */
int address_ranges_add(struct address_ranges *r, const char *text)
    __attribute__((warn_unused_result));
/* Is the peer in one of them? */
bool address_ranges_have(const struct address_ranges *r, const struct address *peer);
