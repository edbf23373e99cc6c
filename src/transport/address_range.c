/* Reads ranges of addresses, and finds a peer in them. */
#include "transport/address_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"

enum { ADDRESS_BITS_MAX = 128 };

static unsigned bits_of(int family)
{
    return family == AF_INET ? 32 : ADDRESS_BITS_MAX;
}

/* The bits of byte i that count. */
static uint8_t mask_of(const struct address_range *r, unsigned i)
{
    unsigned before = i * 8;
    if (r->bits <= before)
        return 0;
    return r->bits - before >= 8 ? 0xFF : (uint8_t)(0xFF << (8 - (r->bits - before)));
}

/* "8" to at most `most`; without leading zeros; -1: it is no such number. */
static int prefix_of(const char *text, unsigned most)
{
    size_t len = strspn(text, "0123456789");
    unsigned bits = 0;
    if (len == 0 || len > 3 || text[len] != '\0' || (text[0] == '0' && len > 1))
        return -1;
    for (; *text; text++)
        bits = bits * 10 + (unsigned)(*text - '0');
    return bits <= most ? (int)bits : -1;
}

/* An IPv4-mapped range is one of IPv4, as peers are. */
static int parse(struct address_range *out, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(host))
        return ERR_INVALID;
    memcpy(host, text, len);
    host[len] = '\0';
    uint8_t bytes[16] = {0};
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, host, bytes) != 1)
        return ERR_INVALID;
    int bits = slash ? prefix_of(slash + 1, bits_of(family)) : (int)bits_of(family);
    address_set(&out->base, family, bytes, 0);
    if (family == AF_INET6 && out->base.family == AF_INET)
        bits -= ADDRESS_BITS_MAX - 32;
    if (bits < 0)
        return ERR_INVALID;
    out->bits = (uint8_t)bits;
    for (unsigned i = 0; i < sizeof(out->base.bytes); i++) {
        if (out->base.bytes[i] & ~mask_of(out, i))
            return ERR_INVALID;
    }
    return 0;
}

int address_ranges_add(struct address_ranges *r, const char *text)
{
    struct address_range range = {0};
    if (r->count == ADDRESS_RANGES_MAX)
        return ERR_LIMIT;
    if (strcmp(text, "unix:") == 0)
        range.base.family = AF_UNIX;
    else if (parse(&range, text))
        return ERR_INVALID;
    r->list[r->count++] = range;
    return 0;
}

static bool has(const struct address_range *r, const struct address *peer)
{
    if (r->base.family != peer->family)
        return false;
    for (unsigned i = 0; i * 8 < r->bits; i++) {
        if ((r->base.bytes[i] ^ peer->bytes[i]) & mask_of(r, i))
            return false;
    }
    return true;
}

bool address_ranges_have(const struct address_ranges *r, const struct address *peer)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (has(&r->list[i], peer))
            return true;
    }
    return false;
}
