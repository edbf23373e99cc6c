/* Advice about refused Origins. */
#include "engine/http/origin_advice.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/ground/origins_refused.h"
#include "engine/http/http_session.h"
#include "engine/worker/worker.h"
#include "protocol/origin.h"

enum {
    QUIET_MS = 60 * 1000,
    SHOWN_BYTES = 100, /* of what a peer sent */
    OWN_BYTES = SHOWN_BYTES + sizeof("https://"),
    REST_BYTES = ORIGIN_ADVICE_BYTES / 2
};

static int shown(size_t len)
{
    return len < SHOWN_BYTES ? (int)len : SHOWN_BYTES;
}

/* The origin of pages that the request's own host serves, which a list must name if it is to stay
 * allowed; "" when there is none that can be named. */
static void own_origin(const struct conn *c, const char *host, size_t len, char out[OWN_BYTES])
{
    int n = snprintf(out, OWN_BYTES, "%s://%.*s", c->secure ? "https" : "http", shown(len), host);
    if (len > SHOWN_BYTES || origin_rule_problem(out, (size_t)n))
        *out = '\0';
}

/* What to write into origins. */
static void remedy(const struct worker *w, const struct conn *c, const char *origin, size_t len,
                   const char *own, char out[REST_BYTES])
{
    const struct site_route *route = &w->site->routes[c->http->match.target];
    if (len > SHOWN_BYTES || origin_rule_problem(origin, len))
        snprintf(out, REST_BYTES, "no page has such an Origin");
    else if (route->origins)
        snprintf(out, REST_BYTES, "to let it in, add \"%.*s\" to the origins of mw.ws(\"%s\")",
                 (int)len, origin, route->pattern);
    else
        snprintf(out, REST_BYTES,
                 "to let it in, write origins = { \"%.*s\"%s%s%s } among the options of "
                 "mw.ws(\"%s\")",
                 (int)len, origin, *own ? ", \"" : "", own, *own ? "\"" : "", route->pattern);
}

static void tell(struct worker *w, const struct conn *c, const char *text)
{
    uint64_t now = clock_monotonic_ms();
    struct origins_refused *refused = w->origins_refused;
    uint64_t told = atomic_load(&refused->told_ms);
    bool is_quiet = told > 0 && now < told + QUIET_MS;
    /* Of two workers at the same time one writes. */
    if (is_quiet || !atomic_compare_exchange_strong(&refused->told_ms, &told, now)) {
        atomic_fetch_add(&refused->since, 1);
        return;
    }
    uint32_t since = atomic_exchange(&refused->since, 0);
    if (since > 0)
        worker_log_peer(w, LOG_INFO, &c->peer, "%s (%u more since the last line of this kind)",
                        text, since);
    else
        worker_log_peer(w, LOG_INFO, &c->peer, "%s", text);
}

void origin_advice(struct worker *w, const struct conn *c, char out[ORIGIN_ADVICE_BYTES])
{
    const struct http_head *head = &c->http->head;
    const char *base = (const char *)c->http->in.data;
    const struct http_field *f = http_head_field(head, base, "origin", NULL);
    const char *origin = base + f->value.at, *host = base + head->host.at;
    char own[OWN_BYTES];
    char rest[REST_BYTES];
    own_origin(c, host, head->host.len, own);
    remedy(w, c, origin, f->value.len, own, rest);
    const char *pattern = w->site->routes[c->http->match.target].pattern;
    snprintf(out, ORIGIN_ADVICE_BYTES, "%s: Origin %.*s may not connect here (Host %.*s): %s",
             pattern, shown(f->value.len), origin, shown(head->host.len), host, rest);
    if (strcmp(pattern, SITE_OVERLAY_SOCKET) != 0) /* that is none of the app's */
        tell(w, c, out);
}
