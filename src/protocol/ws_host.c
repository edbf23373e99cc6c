/* Puts the host of a URL in its canonical form: an address, or a name of A-labels. */
#include "protocol/ws_host.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/idna.h"
#include "protocol/http_syntax.h"
#include "protocol/url.h"
#include "protocol/utf8.h"

/* Decodes escapes in place. Broken ones stay as they are, which url_decode refuses. Returns the
 * length. */
static size_t decode(char *text, size_t len)
{
    char *to = text;
    for (size_t i = 0; i < len; i++) {
        int value = text[i] == '%' ? url_escape(text + i, len - i) : -1;
        if (value >= 0)
            i += 2;
        *to++ = (char)(value >= 0 ? value : text[i]);
    }
    return (size_t)(to - text);
}

/* ---- IPv4 (URL Standard §3.5) ---- */

/* The IPv4 number parser. A number over 32 bits becomes 2^32. */
static int ipv4_number(uint64_t *out, const char *text, size_t len)
{
    unsigned base = 10;
    if (len == 0)
        return ERR_INVALID;
    if (len >= 2 && text[0] == '0' && (text[1] | 0x20) == 'x') {
        base = 16;
        text += 2;
        len -= 2;
    } else if (len >= 2 && text[0] == '0') {
        base = 8;
        text++;
        len--;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = http_hex_value(text[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return ERR_INVALID;
        n = n * base + (unsigned)digit;
        if (n > UINT32_MAX)
            n = (uint64_t)UINT32_MAX + 1;
    }
    *out = n;
    return 0;
}

/* The IPv4 parser, for a host that ends in a number. */
static int parse_ipv4(uint32_t *out, const char *host, size_t len)
{
    uint64_t numbers[4];
    unsigned count = 0;
    if (len > 0 && host[len - 1] == '.') /* one empty label at the end */
        len--;
    for (const char *end = host + len; host <= end;) {
        const char *dot = memchr(host, '.', (size_t)(end - host));
        size_t part = (size_t)((dot ? dot : end) - host);
        if (count == 4 || ipv4_number(&numbers[count++], host, part) < 0)
            return ERR_INVALID;
        host += part + 1;
    }
    uint64_t address = numbers[count - 1];
    if (address >> (8 * (5 - count))) /* the last one fills the bytes that are left */
        return ERR_INVALID;
    for (unsigned i = 0; i + 1 < count; i++) {
        if (numbers[i] > 255)
            return ERR_INVALID;
        address += numbers[i] << (8 * (3 - i));
    }
    *out = (uint32_t)address;
    return 0;
}

/* The ends-in-a-number checker. */
static bool ends_in_number(const char *host, size_t len)
{
    uint64_t ignored;
    if (len > 0 && host[len - 1] == '.')
        len--;
    const char *dot = memrchr(host, '.', len);
    const char *last = dot ? dot + 1 : host;
    size_t last_len = (size_t)(host + len - last);
    size_t digits = 0;
    while (digits < last_len && last[digits] >= '0' && last[digits] <= '9')
        digits++;
    if (last_len > 0 && digits == last_len)
        return true;
    return ipv4_number(&ignored, last, last_len) == 0;
}

/* ---- IPv6 (URL Standard §3.5) ---- */

/* Reads "1.2.3.4" at the end of an IPv6 address: strictly, without leading zeros. */
static int embedded_ipv4(uint16_t out[2], const char *text, size_t len)
{
    uint8_t bytes[4];
    size_t at = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = 0;
        size_t begin = at;
        if (i > 0 && (at == len || text[at++] != '.'))
            return ERR_INVALID;
        begin = at;
        for (; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
            if (at > begin && value == 0)
                return ERR_INVALID;
            value = value * 10 + (unsigned)(text[at] - '0');
            if (value > 255)
                return ERR_INVALID;
        }
        if (at == begin)
            return ERR_INVALID;
        bytes[i] = (uint8_t)value;
    }
    out[0] = (uint16_t)(bytes[0] << 8 | bytes[1]);
    out[1] = (uint16_t)(bytes[2] << 8 | bytes[3]);
    return at == len ? 0 : ERR_INVALID;
}

/* Takes up to four hexadecimal digits from text[*at..len). */
static unsigned take_piece(const char *text, size_t *at, size_t len)
{
    unsigned value = 0;
    size_t end = len - *at < 4 ? len : *at + 4;
    for (; *at < end && http_hex_value(text[*at]) >= 0; ++*at)
        value = value << 4 | (unsigned)http_hex_value(text[*at]);
    return value;
}

/* Moves the pieces behind "::" to the end; `compress` of the `count` pieces stand before it. */
static void expand(uint16_t pieces[8], unsigned compress, unsigned count)
{
    unsigned moved = count - compress;
    memmove(pieces + 8 - moved, pieces + compress, moved * sizeof(*pieces));
    memset(pieces + compress, 0, (8 - count) * sizeof(*pieces));
}

/* The IPv6 parser, for what stands between brackets. */
static int parse_ipv6(uint16_t out[8], const char *text, size_t len)
{
    unsigned count = 0;
    int compress = -1; /* the piece before which "::" stands */
    size_t at = 0;
    memset(out, 0, 8 * sizeof(*out));
    if (len > 0 && text[0] == ':') {
        if (len < 2 || text[1] != ':')
            return ERR_INVALID;
        at = 2;
        compress = 0;
    }
    while (at < len) {
        if (count == 8)
            return ERR_INVALID;
        if (text[at] == ':') {
            if (compress >= 0)
                return ERR_INVALID;
            at++;
            compress = (int)count;
            continue;
        }
        size_t begin = at;
        unsigned value = take_piece(text, &at, len);
        if (at < len && text[at] == '.') {
            if (at == begin || count > 6 || embedded_ipv4(out + count, text + begin, len - begin))
                return ERR_INVALID;
            count += 2;
            break;
        }
        if (at < len && (text[at++] != ':' || at == len))
            return ERR_INVALID;
        out[count++] = (uint16_t)value;
    }
    if ((compress < 0) != (count == 8)) /* "::" stands for one piece at least */
        return ERR_INVALID;
    if (compress >= 0)
        expand(out, (unsigned)compress, count);
    return 0;
}

/* The place of the first of the longest runs of two or more zero pieces; 8 for none. */
static unsigned zero_run(const uint16_t pieces[8], unsigned *run_len)
{
    unsigned best = 8;
    *run_len = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;
        while (i + n < 8 && pieces[i + n] == 0)
            n++;
        if (n > *run_len) {
            *run_len = n;
            best = i;
        }
    }
    return best;
}

static int append_ipv6(struct buffer *out, const uint16_t pieces[8])
{
    unsigned run_len;
    unsigned run = zero_run(pieces, &run_len);
    int err = 0;
    for (unsigned i = 0; i < 8 && !err; i++) {
        if (i == run) {
            err = buffer_printf(out, i == 0 ? "::" : ":");
            i += run_len - 1;
            continue;
        }
        err = buffer_printf(out, i < 7 ? "%x:" : "%x", pieces[i]);
    }
    return err;
}

/* ---- names ---- */

/* The forbidden domain code points (URL Standard §3.2). */
static bool forbidden(char c)
{
    return (uint8_t)c <= 0x20 || c == 0x7f || strchr("#/:<>?@[\\]^|%", c);
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)text[i] > 0x7f)
            return false;
    return true;
}

static bool has_a_label(const char *name, size_t len)
{
    for (size_t i = 0; i + 4 <= len; i++)
        if ((i == 0 || name[i - 1] == '.') && strncasecmp(name + i, "xn--", 4) == 0)
            return true;
    return false;
}

/* The standard's "domain to ASCII", not strict (UTS #46). */
static int append_ascii(struct buffer *out, struct buffer *name, const char **why)
{
    *why = "the URL's host is not a name that IDNA (UTS #46) allows";
    if (buffer_append(name, "", 1) < 0)
        return ERR_MEMORY;
    int err = idna_to_ascii(out, (const char *)name->data);
    if (err != ERR_NOT_FOUND)
        return err;
    *why = "the URL's host is a name beyond ASCII, which needs libidn2 (Debian: apt-get install "
           "libidn2-0), and that cannot be loaded";
    return ERR_INVALID;
}

/* Appends a decoded name in lower case. */
static int append_name(struct buffer *out, struct buffer *name, const char **why)
{
    const char *text = (const char *)name->data;
    size_t begin = out->len;
    *why = "the URL's host is not a name or an address";
    if (!utf8_valid(name->data, name->len) || memchr(text, '\0', name->len))
        return ERR_INVALID;
    int err = 0;
    if (is_ascii(text, name->len) && !has_a_label(text, name->len)) {
        err = buffer_append(out, text, name->len);
        for (size_t i = begin; i < out->len; i++)
            if (out->data[i] >= 'A' && out->data[i] <= 'Z')
                out->data[i] |= 0x20;
    } else {
        err = append_ascii(out, name, why);
    }
    for (size_t i = begin; i < out->len && !err; i++)
        if (forbidden((char)out->data[i]))
            err = ERR_INVALID;
    return err || out->len > begin ? err : ERR_INVALID;
}

/* ---- the host (URL Standard §3.5) ---- */

static int append_bracketed(struct buffer *out, const char *text, size_t len, const char **why)
{
    uint16_t pieces[8];
    *why = "the URL's IPv6 address is malformed";
    if (len < 2 || text[len - 1] != ']' || parse_ipv6(pieces, text + 1, len - 2) < 0)
        return ERR_INVALID;
    if (buffer_append(out, "[", 1) < 0 || append_ipv6(out, pieces) < 0)
        return ERR_MEMORY;
    return buffer_append(out, "]", 1);
}

/* Puts the address in the place of the host at `begin`, which ends in a number. */
static int to_ipv4(struct buffer *out, size_t begin, const char **why)
{
    uint32_t ipv4;
    *why = "the URL's host ends in a number but is not an IPv4 address";
    if (parse_ipv4(&ipv4, (const char *)out->data + begin, out->len - begin) < 0)
        return ERR_INVALID;
    out->len = begin;
    return buffer_printf(out, "%u.%u.%u.%u", ipv4 >> 24, ipv4 >> 16 & 255, ipv4 >> 8 & 255,
                         ipv4 & 255);
}

int ws_host_append(struct buffer *out, const char *text, size_t len, bool *is_address,
                   const char **why)
{
    struct buffer name = {0};
    *is_address = len > 0 && text[0] == '[';
    if (*is_address)
        return append_bracketed(out, text, len, why);
    size_t begin = out->len;
    if (buffer_append(&name, text, len) < 0)
        return ERR_MEMORY;
    name.len = decode((char *)name.data, name.len);
    int err = append_name(out, &name, why);
    buffer_deinit(&name);
    if (err)
        return err;
    *is_address = ends_in_number((const char *)out->data + begin, out->len - begin);
    return *is_address ? to_ipv4(out, begin, why) : 0;
}
