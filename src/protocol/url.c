/* Decodes escapes, and takes authorities apart. */
#include "protocol/url.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "protocol/http_syntax.h"

int url_escape(const char *in, size_t len)
{
    if (len < 3)
        return -1;
    int high = http_hex_value(in[1]);
    int low = http_hex_value(in[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

long url_decode(char *out, const char *in, size_t len, int plus)
{
    char *at = out;
    for (size_t i = 0; i < len; i++) {
        char c = in[i];
        if (c == '%') {
            int value = url_escape(in + i, len - i);
            if (value < 0)
                return ERR_INVALID;
            c = (char)value;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        *at++ = c;
    }
    return at - out;
}

/* RFC 3986 §3.2.2: reg-name is unreserved, sub-delims or an escape. */
static const bool name_byte[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true, ['&'] = true,
    ['\''] = true,        ['('] = true,         [')'] = true,         ['*'] = true, ['+'] = true,
    [','] = true,         [';'] = true,         ['='] = true,
};

/* Bytes of the registered name or IPv4 address that text begins with; 0 when it is none. */
static size_t name_len(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && text[i] != ':') {
        if (text[i] == '%') {
            if (url_escape(text + i, len - i) < 0)
                return 0;
            i += 3;
        } else if (name_byte[(uint8_t)text[i]]) {
            i++;
        } else {
            return 0;
        }
    }
    return i;
}

/* Bytes of the bracketed IPv6 address that text begins with; 0 when it is none. */
static size_t ipv6_len(const char *text, size_t len)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    const char *end = memchr(text, ']', len);
    size_t inner = end ? (size_t)(end - text) - 1 : 0;
    if (inner == 0 || inner >= sizeof(address) || memchr(text, '\0', inner + 1))
        return 0;
    memcpy(address, text + 1, inner);
    address[inner] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1 ? inner + 2 : 0;
}

/* The digits after the colon. */
static int read_port(struct url_authority *out, const char *digits, size_t len)
{
    uint32_t port = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return ERR_INVALID;
        port = port * 10 + (uint32_t)(digits[i] - '0');
        if (port > UINT16_MAX)
            return ERR_INVALID;
    }
    out->has_port = len > 0;
    out->port = (uint16_t)port;
    return 0;
}

int url_authority(struct url_authority *out, const char *text, size_t len)
{
    size_t host = len && text[0] == '[' ? ipv6_len(text, len) : name_len(text, len);
    if (host == 0)
        return ERR_INVALID;
    *out = (struct url_authority){.host = text, .host_len = host};
    if (host == len)
        return 0;
    return text[host] == ':' ? read_port(out, text + host + 1, len - host - 1) : ERR_INVALID;
}
