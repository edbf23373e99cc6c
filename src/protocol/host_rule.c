/* Compares the hosts that requests name with those that an app answers for. */
#include "protocol/host_rule.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "protocol/url.h"

enum { ADDRESS_BYTES = INET6_ADDRSTRLEN };

/* What a host is: an address, or a name. */
struct host {
    const char *name; /* without the dot at its end */
    size_t len;
    int family; /* AF_INET, AF_INET6; 0: it is a name */
    struct in6_addr address;
};

static int address_family(const char *text, size_t len, struct in6_addr *out)
{
    char copy[ADDRESS_BYTES];
    if (len == 0 || len >= sizeof(copy))
        return 0;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out = (struct in6_addr){0};
    if (inet_pton(AF_INET, copy, out) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, copy, out) == 1 ? AF_INET6 : 0;
}

/* False: it is no host. */
static bool read_host(struct host *out, const char *text, size_t len)
{
    struct url_authority a;
    if (url_authority(&a, text, len))
        return false;
    *out = (struct host){.name = a.host, .len = a.host_len};
    if (a.host[0] == '[') {
        out->family = address_family(a.host + 1, a.host_len - 2, &out->address);
        return out->family == AF_INET6;
    }
    if (out->len > 1 && a.host[a.host_len - 1] == '.')
        out->len--;
    out->family = address_family(out->name, out->len, &out->address);
    return true;
}

/* A rule's host. An IPv6 address may stand without its brackets. */
static bool read_rule(struct host *out, const char *rule, size_t len)
{
    *out = (struct host){.name = rule, .len = len};
    out->family = address_family(rule, len, &out->address);
    return out->family || read_host(out, rule, len);
}

const char *host_rule_problem(const char *rule, size_t len)
{
    static const char star[] = "* stands for one whole label at the front, as in "
                               "\"*.example.com\", or alone for any host";
    struct host host;
    struct url_authority a;
    if (len == 1 && *rule == '*')
        return NULL;
    if (!read_rule(&host, rule, len))
        return "write a host name or an address, as in \"example.com\" (no scheme, no path)";
    if (url_authority(&a, rule, len) == 0 && a.host_len < len)
        return "write it without the port: a host is the same on every port";
    const char *first = memchr(rule, '*', len);
    if (!first)
        return NULL;
    bool front = first == rule && len > 2 && rule[1] == '.' && rule[2] != '.';
    return front && !memchr(rule + 1, '*', len - 1) ? NULL : star;
}

static bool same_name(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

bool host_rule_allows(const char *rule, const char *host, size_t len)
{
    struct host asked, allowed;
    if (strcmp(rule, "*") == 0)
        return true;
    if (!read_host(&asked, host, len) || !read_rule(&allowed, rule, strlen(rule)) ||
        asked.family != allowed.family)
        return false;
    if (asked.family)
        return memcmp(&asked.address, &allowed.address, sizeof(asked.address)) == 0;
    if (allowed.name[0] != '*')
        return same_name(asked.name, asked.len, allowed.name, allowed.len);
    /* What stands behind the first label, the dot included, is compared. */
    const char *dot = memchr(asked.name, '.', asked.len);
    if (!dot || dot == asked.name)
        return false;
    return same_name(dot, asked.len - (size_t)(dot - asked.name), allowed.name + 1,
                     allowed.len - 1);
}

bool host_is_local(const char *host, size_t len)
{
    static const char name[] = "localhost";
    const size_t n = sizeof(name) - 1;
    struct host h;
    if (!read_host(&h, host, len))
        return false;
    if (h.family || same_name(h.name, h.len, name, n))
        return true;
    return h.len > n + 1 && h.name[h.len - n - 1] == '.' &&
           same_name(h.name + h.len - n, n, name, n);
}
