#include "protocol/ws_url.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/idna.h"
#include "protocol/utf8.h"

/* What is parsed: the input without what the standard strips, and where it is read. */
struct cursor {
    const char *at;
    const char *end;
};

/* ---- percent-encoding (URL Standard §1.3) ---- */

/* Code points beyond "~" and the C0 controls are in all sets. */
static const char query_set[] = " \"#<>'";                  /* the special-query set */
static const char path_set[] = " \"#<>?^`{}";               /* the path set */
static const char userinfo_set[] = " \"#<>?^`{}/:;=@[\\]|"; /* the userinfo set */

static bool must_encode(char c, const char *set)
{
    return (uint8_t)c < 0x20 || (uint8_t)c > 0x7e || strchr(set, c);
}

static int append_encoded(struct buffer *out, const char *text, size_t len, const char *set)
{
    static const char hex[] = "0123456789ABCDEF";
    if (buffer_reserve(out, len * 3) < 0)
        return ERR_MEMORY;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (must_encode(text[i], set)) {
            out->data[out->len++] = '%';
            out->data[out->len++] = (uint8_t)hex[c >> 4];
            out->data[out->len++] = (uint8_t)hex[c & 15];
        } else {
            out->data[out->len++] = c;
        }
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode: unlike url_decode, broken escapes stay as they are. Returns the length. */
static size_t decode(char *text, size_t len)
{
    char *to = text;
    for (size_t i = 0; i < len; i++) {
        int high = len - i > 2 && text[i] == '%' ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0)
            i += 2;
        *to++ = (char)(low >= 0 ? high << 4 | low : text[i]);
    }
    return (size_t)(to - text);
}

/* ---- IPv4 (URL Standard §3.5) ---- */

/* The IPv4 number parser; more than 32 bits are 2^32. */
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
        int digit = hex_value(text[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return ERR_INVALID;
        n = n * base + (unsigned)digit;
        if (n > UINT32_MAX)
            n = (uint64_t)UINT32_MAX + 1;
    }
    *out = n;
    return 0;
}

int ws_url_ipv4(uint32_t *out, const char *host, size_t len)
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

/* ---- IPv6 ---- */

/* "1.2.3.4" at the end of an IPv6 address: strict, no leading zeros. */
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

int ws_url_ipv6(uint16_t out[8], const char *text, size_t len)
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
        unsigned value = 0;
        size_t begin = at;
        for (; at < len && at - begin < 4 && hex_value(text[at]) >= 0; at++)
            value = value << 4 | (unsigned)hex_value(text[at]);
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
    if (compress < 0)
        return count == 8 ? 0 : ERR_INVALID;
    if (count == 8)
        return ERR_INVALID;
    unsigned moved = count - (unsigned)compress;
    memmove(out + 8 - moved, out + compress, moved * sizeof(*out));
    memset(out + compress, 0, (8 - count) * sizeof(*out));
    return 0;
}

/* The first longest run of two zero pieces or more; 8 for none. */
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

/* Domain to ASCII, not strict, by UTS #46. */
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

static bool is_utf8(const char *text, size_t len)
{
    struct utf8 u = {0};
    return utf8_check(&u, (const uint8_t *)text, len) == 0 && utf8_complete(&u);
}

/* A decoded name, in lower case, to out. */
static int append_name(struct buffer *out, struct buffer *name, const char **why)
{
    const char *text = (const char *)name->data;
    size_t begin = out->len;
    *why = "the URL's host is not a name or an address";
    if (!is_utf8(text, name->len) || memchr(text, '\0', name->len))
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

static int append_bracketed(struct ws_url *u, const char *text, size_t len, const char **why)
{
    uint16_t pieces[8];
    *why = "the URL's IPv6 address is malformed";
    if (len < 2 || text[len - 1] != ']' || ws_url_ipv6(pieces, text + 1, len - 2) < 0)
        return ERR_INVALID;
    if (buffer_append(&u->text, "[", 1) < 0)
        return ERR_MEMORY;
    u->host.at = (uint32_t)u->text.len;
    if (append_ipv6(&u->text, pieces) < 0)
        return ERR_MEMORY;
    u->host.len = (uint32_t)u->text.len - u->host.at;
    u->is_address = true;
    return buffer_append(&u->text, "]", 1);
}

static int append_host(struct ws_url *u, const char *text, size_t len, const char **why)
{
    struct buffer name = {0};
    uint32_t ipv4;
    if (len > 0 && text[0] == '[')
        return append_bracketed(u, text, len, why);
    u->host.at = (uint32_t)u->text.len;
    if (buffer_append(&name, text, len) < 0)
        return ERR_MEMORY;
    name.len = decode((char *)name.data, name.len);
    int err = append_name(&u->text, &name, why);
    buffer_deinit(&name);
    if (err)
        return err;
    const char *host = (const char *)u->text.data + u->host.at;
    size_t host_len = u->text.len - u->host.at;
    if (ends_in_number(host, host_len)) {
        *why = "the URL's host ends in a number but is not an IPv4 address";
        if (ws_url_ipv4(&ipv4, host, host_len) < 0)
            return ERR_INVALID;
        u->is_address = true;
        u->text.len = u->host.at;
        err = buffer_printf(&u->text, "%u.%u.%u.%u", ipv4 >> 24, ipv4 >> 16 & 255, ipv4 >> 8 & 255,
                            ipv4 & 255);
    }
    u->host.len = (uint32_t)u->text.len - u->host.at;
    return err;
}

/* ---- the authority ---- */

static int append_userinfo(struct ws_url *u, const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    size_t word_len = colon ? len - user_len - 1 : 0;
    if (user_len == 0 && word_len == 0)
        return 0;
    u->userinfo.at = (uint32_t)u->text.len;
    if (append_encoded(&u->text, text, user_len, userinfo_set) < 0 ||
        (word_len && (buffer_append(&u->text, ":", 1) < 0 ||
                      append_encoded(&u->text, colon + 1, word_len, userinfo_set) < 0)))
        return ERR_MEMORY;
    u->userinfo.len = (uint32_t)u->text.len - u->userinfo.at;
    return buffer_append(&u->text, "@", 1);
}

static int append_port(struct ws_url *u, const char *digits, size_t len, const char **why)
{
    uint32_t port = 0;
    *why = "the URL's port is not a number up to 65535";
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return ERR_INVALID;
        port = port * 10 + (uint32_t)(digits[i] - '0');
        if (port > UINT16_MAX)
            return ERR_INVALID;
    }
    uint16_t usual = u->secure ? 443 : 80;
    u->port = len > 0 ? (uint16_t)port : usual;
    return u->port == usual ? 0 : buffer_printf(&u->text, ":%u", u->port);
}

/* The colon before the port: the first one outside of brackets. */
static const char *port_colon(const char *at, const char *end)
{
    bool inside = false;
    for (; at < end; at++)
        if (*at == '[')
            inside = true;
        else if (*at == ']')
            inside = false;
        else if (*at == ':' && !inside)
            return at;
    return NULL;
}

static bool ends_authority(char c)
{
    return c == '/' || c == '\\' || c == '?' || c == '#';
}

static int parse_authority(struct ws_url *u, struct cursor *in, const char **why)
{
    while (in->at < in->end && (*in->at == '/' || *in->at == '\\'))
        in->at++;
    const char *begin = in->at;
    while (in->at < in->end && !ends_authority(*in->at))
        in->at++;
    const char *sign = memrchr(begin, '@', (size_t)(in->at - begin));
    const char *host = sign ? sign + 1 : begin;
    const char *colon = port_colon(host, in->at);
    const char *host_end = colon ? colon : in->at;
    *why = "the URL names no host";
    if (host == host_end)
        return ERR_INVALID;
    int err = sign ? append_userinfo(u, begin, (size_t)(sign - begin)) : 0;
    u->authority.at = (uint32_t)u->text.len;
    if (!err)
        err = append_host(u, host, (size_t)(host_end - host), why);
    if (!err)
        err =
            append_port(u, colon ? colon + 1 : NULL, colon ? (size_t)(in->at - colon - 1) : 0, why);
    u->authority.len = (uint32_t)u->text.len - u->authority.at;
    return err;
}

/* ---- path and query ---- */

/* Takes one dot, plain or encoded, from text. */
static bool take_dot(const char **text, size_t *len)
{
    size_t n = 0;
    if (*len >= 1 && **text == '.')
        n = 1;
    else if (*len >= 3 && strncasecmp(*text, "%2e", 3) == 0)
        n = 3;
    *text += n;
    *len -= n;
    return n > 0;
}

/* 1 for ".", 2 for "..", else 0. */
static unsigned dots(const char *text, size_t len)
{
    unsigned n = 0;
    while (n < 3 && take_dot(&text, &len))
        n++;
    return len == 0 && n < 3 ? n : 0;
}

/* Removes the last segment with its slash, where there is one. */
static void shorten(struct ws_url *u)
{
    const char *path = (const char *)u->text.data + u->target.at;
    const char *slash = memrchr(path, '/', u->text.len - u->target.at);
    if (slash)
        u->text.len = (size_t)(slash - (const char *)u->text.data);
}

static int append_path(struct ws_url *u, struct cursor *in)
{
    if (in->at < in->end && (*in->at == '/' || *in->at == '\\'))
        in->at++;
    for (;;) {
        const char *begin = in->at;
        while (in->at < in->end && !ends_authority(*in->at))
            in->at++;
        size_t len = (size_t)(in->at - begin);
        bool last = in->at == in->end || *in->at == '?' || *in->at == '#';
        unsigned n = dots(begin, len);
        if (n == 2)
            shorten(u);
        if (n == 0 || last) { /* "/a/." is "/a/" */
            if (buffer_append(&u->text, "/", 1) < 0 ||
                append_encoded(&u->text, begin, n ? 0 : len, path_set) < 0)
                return ERR_MEMORY;
        }
        if (last)
            return 0;
        in->at++;
    }
}

static int append_query(struct ws_url *u, struct cursor *in)
{
    if (in->at == in->end || *in->at != '?')
        return 0;
    const char *begin = ++in->at;
    while (in->at < in->end && *in->at != '#')
        in->at++;
    u->query.at = (uint32_t)u->text.len;
    if (buffer_append(&u->text, "?", 1) < 0 ||
        append_encoded(&u->text, begin, (size_t)(in->at - begin), query_set) < 0)
        return ERR_MEMORY;
    u->query.len = (uint32_t)u->text.len - u->query.at;
    return 0;
}

/* ---- all of it ---- */

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Bytes of the scheme, 0 when the text has none and would be relative. */
static size_t scheme_len(const struct cursor *in)
{
    const char *at = in->at;
    if (at == in->end || !is_alpha(*at))
        return 0;
    while (at < in->end &&
           (is_alpha(*at) || (*at >= '0' && *at <= '9') || *at == '+' || *at == '-' || *at == '.'))
        at++;
    return at < in->end && *at == ':' ? (size_t)(at - in->at) : 0;
}

static bool scheme_is(const struct cursor *in, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(in->at, name, len) == 0;
}

static int parse_scheme(struct ws_url *u, struct cursor *in, const char **why)
{
    size_t len = scheme_len(in);
    *why = "the URL is not absolute: it begins with ws:// or wss://";
    if (len == 0)
        return ERR_INVALID;
    *why = "the URL's scheme is not ws, wss, http or https";
    u->secure = scheme_is(in, len, "wss") || scheme_is(in, len, "https");
    if (!u->secure && !scheme_is(in, len, "ws") && !scheme_is(in, len, "http"))
        return ERR_INVALID;
    in->at += len + 1;
    return buffer_printf(&u->text, u->secure ? "wss://" : "ws://");
}

static int parse(struct ws_url *u, struct cursor in, const char **why)
{
    int err = parse_scheme(u, &in, why);
    if (!err)
        err = parse_authority(u, &in, why);
    u->target.at = (uint32_t)u->text.len;
    if (!err)
        err = append_path(u, &in);
    if (!err)
        err = append_query(u, &in);
    u->target.len = (uint32_t)u->text.len - u->target.at;
    if (err || in.at == in.end)
        return err;
    *why = "the URL has a fragment (#…), which no WebSocket may have";
    return ERR_INVALID;
}

/* The input without blanks and controls around it, and without tabs and line ends. */
static int strip(struct buffer *out, const char *text, size_t len)
{
    while (len > 0 && (uint8_t)text[0] <= ' ') {
        text++;
        len--;
    }
    while (len > 0 && (uint8_t)text[len - 1] <= ' ')
        len--;
    if (buffer_reserve(out, len + 1) < 0)
        return ERR_MEMORY;
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            out->data[out->len++] = (uint8_t)text[i];
    return 0;
}

int ws_url_parse(struct ws_url *out, const char *text, size_t len, const char **why)
{
    struct buffer stripped = {0};
    *out = (struct ws_url){0};
    *why = "the URL is longer than 1 MiB";
    if (len > WS_URL_BYTES_MAX)
        return ERR_INVALID;
    *why = "the URL is not UTF-8";
    if (!is_utf8(text, len))
        return ERR_INVALID;
    int err = strip(&stripped, text, len);
    const char *begin = (const char *)stripped.data;
    if (!err)
        err = parse(out, (struct cursor){begin, begin + stripped.len}, why);
    buffer_deinit(&stripped);
    if (err)
        ws_url_deinit(out);
    return err;
}

void ws_url_deinit(struct ws_url *u)
{
    buffer_deinit(&u->text);
    *u = (struct ws_url){0};
}
