/* Converts the system's addresses to ours, and ours to text. */
#include "transport/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

void address_from(struct address *out, const struct sockaddr *from, socklen_t len)
{
    *out = (struct address){0};
    if (len < sizeof(from->sa_family))
        return;
    if (from->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof(v4));
        out->family = AF_INET;
        memcpy(out->bytes, &v4.sin_addr, 4);
        out->port = ntohs(v4.sin_port);
    } else if (from->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof(v6));
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        out->family = mapped ? AF_INET : AF_INET6;
        memcpy(out->bytes, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        out->port = ntohs(v6.sin6_port);
    } else if (from->sa_family == AF_UNIX) {
        out->family = AF_UNIX;
    }
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
