/* The addresses of peers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ADDRESS_TEXT_BYTES = 64,
    ADDRESS_KEY_BYTES = 17 /* family and bytes */
};

/* A peer. Equal peers have equal bytes (IPv4-mapped IPv6 is kept as IPv4, unused bytes are 0), so
 * that family and bytes, which lie side by side, may be a key. */
struct address {
    uint8_t family;    /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC (0): unknown */
    uint8_t bytes[16]; /* network order; the first 4 for AF_INET */
    uint16_t port;     /* host order */
};

/* Makes an address of AF_INET or AF_INET6 from its bytes (4 or 16, in network order) and its port;
 * an IPv4-mapped one becomes IPv4. */
void address_set(struct address *out, int family, const uint8_t *bytes, uint16_t port);
/* Reads an address of the system's. One that is too short, or of another family, is unknown. */
void address_from(struct address *out, const struct sockaddr *from, socklen_t len);
/* Makes what tells one stranger from another: an IPv4 address whole, of an IPv6 address the first
 * 64 bits, since whoever has one has all that share these (RFC 6177, RFC 7421). Without the port.
 * Two that are of one stranger have equal bytes, family included. */
void address_stranger(struct address *out, const struct address *a);
/* Is it of this machine: of the loopback network, or of a Unix socket? */
bool address_is_local(const struct address *a);
/* Writes "127.0.0.1", "::1", "unix" or "unknown", without the port. Returns out. */
const char *address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES]);
