/* The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): with it a
 * proxy says at the start of a connection whose connection it passes on. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_HEADER_V1_BYTES = 107,  /* §2.1: the longest line, with CRLF */
    PROXY_HEADER_BYTES_MAX = 4096 /* a longer header of version 2 is refused */
};

/* Who speaks. */
enum proxy_source {
    PROXY_SOURCE_PROXY, /* the proxy itself (LOCAL), or somebody whom it does not know (UNKNOWN) */
    PROXY_SOURCE_IPV4,
    PROXY_SOURCE_IPV6,
    PROXY_SOURCE_UNIX /* a client of a unix socket; its path is not kept */
};

struct proxy_header {
    enum proxy_source source;
    uint8_t address[16]; /* in network order; the first 4 for IPv4; else 0 */
    uint16_t port;       /* in host order; 0 where there is none */
    const char *why;     /* after ERR_PROTOCOL: a static text, what is wrong */
};

/* Parses the header at the start of data[0..len). Returns its length; 0: it is not whole yet, and
 * all of data belongs to it; or ERR_PROTOCOL with out->why: it is none, or is broken.
 *
 * It is strict: one space between the fields of version 1, numbers and addresses without leading
 * zeros, addresses that fit the family, connections of streams only, TLVs that fill the rest of the
 * header, and a right checksum where there is one (PP2_TYPE_CRC32C, §2.2.3). Other TLVs are
 * skipped. */
long proxy_header_parse(struct proxy_header *out, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
