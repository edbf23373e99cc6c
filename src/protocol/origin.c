/* Compares the origins that requests name with those that an app allows. */
#include "protocol/origin.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "protocol/http_syntax.h"

int origin_read(struct origin *out, const char *text, size_t len)
{
    static const struct {
        const char *name;
        bool https;
    } schemes[] = {{"http", false}, {"https", true}, {"ws", false}, {"wss", true}};
    const char *colon = memchr(text, ':', len);
    if (!colon || text + len - colon < 3 || memcmp(colon, "://", 3) != 0)
        return ERR_INVALID;
    const char *authority = colon + 3;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
        if (!http_equal(text, (size_t)(colon - text), schemes[i].name))
            continue;
        out->https = schemes[i].https;
        if (url_authority(&out->authority, authority, (size_t)(text + len - authority)))
            return ERR_INVALID;
        out->port = out->authority.has_port ? out->authority.port : (out->https ? 443 : 80);
        return 0;
    }
    return ERR_INVALID;
}

static bool same_host(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

bool origin_same(const struct origin *a, const struct origin *b)
{
    return a->https == b->https && a->port == b->port &&
           same_host(a->authority.host, a->authority.host_len, b->authority.host,
                     b->authority.host_len);
}

/* ---- rules ---- */

/* scheme "://" host [":" port], as a browser sends it (RFC 6454 §6.2). */
static bool is_written_well(const char *rule, size_t len, struct url_authority *authority)
{
    const char *colon = memmem(rule, len, "://", 3);
    if (!colon || colon == rule)
        return false;
    for (const char *p = rule; p < colon; p++) {
        bool letter = (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';
        bool other = (*p >= '0' && *p <= '9') || *p == '+' || *p == '-' || *p == '.';
        if (!letter && (p == rule || !other))
            return false;
    }
    return url_authority(authority, colon + 3, len - (size_t)(colon + 3 - rule)) == 0;
}

/* "*." before something that is a name itself. */
static bool is_wildcard(const struct url_authority *a)
{
    return a->host_len > 2 && a->host[0] == '*' && a->host[1] == '.' && a->host[2] != '.';
}

const char *origin_rule_problem(const char *rule, size_t len)
{
    struct origin read;
    struct url_authority authority;
    if ((len == 1 && *rule == '*') || (len == 4 && memcmp(rule, "null", 4) == 0))
        return NULL;
    const char *star = memchr(rule, '*', len);
    if (!is_written_well(rule, len, &authority))
        return star ? "write \"https://*.example.com\" (one label for *, no port as *, no "
                      "path), or \"*\" alone for any"
                    : "write \"https://example.com\" (no path), or \"*\" for any";
    if (authority.host_len > 0 && authority.host[0] == '.')
        return "no host begins with a dot: write \"https://*.example.com\" for all that have one "
               "label more";
    if (!star)
        return NULL;
    bool elsewhere = memchr(star + 1, '*', len - (size_t)(star + 1 - rule)) != NULL;
    if (elsewhere || !is_wildcard(&authority) || origin_read(&read, rule, len))
        return "* stands for one whole label at the front of a host, as in "
               "\"https://*.example.com\", or alone for any origin";
    return NULL;
}

bool origin_rule_allows(const char *rule, const char *text, size_t len)
{
    struct origin asked, allowed;
    size_t rule_len = strlen(rule);
    if (strcmp(rule, "*") == 0 || (rule_len == len && memcmp(rule, text, len) == 0))
        return true;
    if (origin_read(&asked, text, len) || origin_read(&allowed, rule, rule_len))
        return false;
    if (is_wildcard(&allowed.authority)) {
        /* What stands behind the first label, the dot included, is compared. */
        const char *host = asked.authority.host;
        const char *dot = memchr(host, '.', asked.authority.host_len);
        if (!dot || dot == host)
            return false;
        asked.authority.host_len -= (size_t)(dot - host);
        asked.authority.host = dot;
        allowed.authority.host_len--;
        allowed.authority.host++;
    }
    return origin_same(&asked, &allowed);
}
