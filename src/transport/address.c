/* Converts the system's addresses to ours, and ours to text. */
#include "transport/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct address, bytes) == 1, "the key of a peer has no gap");

void address_set(struct address *out, int family, const uint8_t *bytes, uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool is_mapped = family == AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) == 0;
    if (is_mapped)
        bytes += sizeof(mapped);
    *out = (struct address){.family = (uint8_t)(is_mapped ? AF_INET : family), .port = port};
    memcpy(out->bytes, bytes, out->family == AF_INET ? 4 : 16);
}

void address_from(struct address *out, const struct sockaddr *from, socklen_t len)
{
    *out = (struct address){0};
    if (len < sizeof(from->sa_family))
        return;
    if (from->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        address_set(out, AF_INET, (const uint8_t *)&v4.sin_addr, ntohs(v4.sin_port));
    } else if (from->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        address_set(out, AF_INET6, v6.sin6_addr.s6_addr, ntohs(v6.sin6_port));
    } else if (from->sa_family == AF_UNIX) {
        out->family = AF_UNIX;
    }
}

void address_stranger(struct address *out, const struct address *a)
{
    enum { PREFIX_BYTES = 8 };
    *out = *a;
    out->port = 0;
    if (a->family == AF_INET6)
        memset(out->bytes + PREFIX_BYTES, 0, sizeof(out->bytes) - PREFIX_BYTES);
}

bool address_is_local(const struct address *a)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    if (a->family == AF_INET)
        return a->bytes[0] == 127; /* RFC 1122 §3.2.1.3 */
    if (a->family == AF_INET6)
        return memcmp(a->bytes, loopback6, sizeof(loopback6)) == 0;
    return a->family == AF_UNIX;
}

const char *address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    if (a->family == AF_UNIX)
        return strcpy(out, "unix");
    if ((a->family != AF_INET && a->family != AF_INET6) ||
        !inet_ntop(a->family, a->bytes, out, ADDRESS_TEXT_BYTES))
        strcpy(out, "unknown");
    return out;
}
