/* Parses the URL of a WebSocket, and serializes it piece by piece on the way. */
#include "protocol/ws_url.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "protocol/utf8.h"
#include "protocol/ws_host.h"

/* The rest of the input, from which everything that the standard strips is gone. */
struct ws_url_input {
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

/* ---- the authority ---- */

/* The host's part excludes the brackets of an IPv6 address. */
static int append_host(struct ws_url *u, const char *text, size_t len, const char **why)
{
    size_t begin = u->text.len;
    int err = ws_host_append(&u->text, text, len, &u->is_address, why);
    if (err)
        return err;
    bool bracketed = u->text.data[begin] == '[';
    u->host.at = (uint32_t)(begin + bracketed);
    u->host.len = (uint32_t)(u->text.len - begin) - (bracketed ? 2 : 0);
    return 0;
}

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

/* The colon before the port: the first one outside of brackets, or NULL. */
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

static int parse_authority(struct ws_url *u, struct ws_url_input *in, const char **why)
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

/* Returns 1 for ".", 2 for "..", plain or encoded, else 0. */
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

static int append_path(struct ws_url *u, struct ws_url_input *in)
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

static int append_query(struct ws_url *u, struct ws_url_input *in)
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

/* ---- the URL ---- */

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Bytes of the scheme; 0 when the text has none, and is relative. */
static size_t scheme_len(const struct ws_url_input *in)
{
    const char *at = in->at;
    if (at == in->end || !is_alpha(*at))
        return 0;
    while (at < in->end &&
           (is_alpha(*at) || (*at >= '0' && *at <= '9') || *at == '+' || *at == '-' || *at == '.'))
        at++;
    return at < in->end && *at == ':' ? (size_t)(at - in->at) : 0;
}

static bool scheme_is(const struct ws_url_input *in, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(in->at, name, len) == 0;
}

static int parse_scheme(struct ws_url *u, struct ws_url_input *in, const char **why)
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

static int parse(struct ws_url *u, struct ws_url_input in, const char **why)
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

/* Appends the input without the blanks and controls around it, and without tabs and line ends. */
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
    if (!utf8_valid((const uint8_t *)text, len))
        return ERR_INVALID;
    int err = strip(&stripped, text, len);
    const char *begin = (const char *)stripped.data;
    if (!err)
        err = parse(out, (struct ws_url_input){begin, begin + stripped.len}, why);
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
