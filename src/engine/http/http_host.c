/* Hosts that are answered for. */
#include "engine/http/http_host.h"

#include <stdio.h>
#include <string.h>

#include "engine/http/http_answer.h"
#include "engine/http/http_session.h"
#include "engine/worker/worker.h"
#include "protocol/host_rule.h"
#include "transport/address.h"

enum { SHOWN_BYTES = 100, WHY_BYTES = 512 };

/* The host that a request names; without one, an empty text. */
struct named {
    const char *text;
    size_t len;
};

static struct named named_host(const struct conn *c)
{
    const struct http_span *host = &c->http->head.host;
    return (struct named){(const char *)c->http->in.data + host->at, host->len};
}

static bool in_list(char **rules, struct named host)
{
    for (; *rules; rules++)
        if (host_rule_allows(*rules, host.text, host.len))
            return true;
    return false;
}

/* Is it the name of a listener? "*" and the paths of local sockets are no names. */
static bool is_listener(const struct site_listener *listeners, size_t count, struct named host)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = listeners[i].host;
        if (name && !host_rule_problem(name, strlen(name)) && strcmp(name, "*") != 0 &&
            host_rule_allows(name, host.text, host.len))
            return true;
    }
    return false;
}

/* May a developer's server be used by this name? */
static bool is_own(const struct worker *w, struct named host)
{
    const struct site *s = w->site;
    return (s->hosts && in_list(s->hosts, host)) || host_is_local(host.text, host.len) ||
           is_listener(s->listeners, s->listener_count, host) ||
           is_listener(w->fixed_listeners, w->fixed_listener_count, host);
}

static void refuse(struct worker *w, struct conn *c, const char *rest)
{
    char why[WHY_BYTES];
    struct named host = named_host(c);
    int shown = host.len < SHOWN_BYTES ? (int)host.len : SHOWN_BYTES;
    snprintf(why, sizeof(why), "Host \"%.*s\" %s", shown, host.text, rest);
    if (w->watch_mode)
        worker_log_peer(w, LOG_INFO, &c->peer, "%s", why);
    http_answer_refuse(w, c, 421, w->watch_mode ? why : "this server does not answer for this host",
                       NULL);
}

bool http_host_check(struct worker *w, struct conn *c)
{
    const struct site *s = w->site;
    if (!s->hosts)
        return true;
    struct named host = named_host(c);
    if (in_list(s->hosts, host) || (w->watch_mode && is_own(w, host)))
        return true;
    refuse(w, c, "is not among the app's mw.hosts");
    return false;
}

/* ---- watch mode ---- */

static bool is_overlay(const struct worker *w, const struct site_route *route)
{
    return w->site->overlay && (strcmp(route->pattern, SITE_OVERLAY_SOCKET) == 0 ||
                                strcmp(route->pattern, SITE_OVERLAY_SCRIPT) == 0);
}

static bool may_see_overlay(const struct worker *w, const struct conn *c)
{
    return w->overlay_for_all || address_is_local(&c->peer);
}

bool http_host_wants_overlay(const struct worker *w, const struct conn *c)
{
    return w->site->overlay && may_see_overlay(w, c) && is_own(w, named_host(c));
}

bool http_host_check_route(struct worker *w, struct conn *c)
{
    if (!w->watch_mode)
        return true;
    const struct site_route *route = &w->site->routes[c->http->match.target];
    bool overlay = is_overlay(w, route);
    if (overlay && !may_see_overlay(w, c)) {
        http_answer_refuse(w, c, 404, "there is nothing at this path", NULL);
        return false;
    }
    bool anywhere = !overlay && (route->kind != SITE_WEBSOCKET || route->origins);
    if (anywhere || is_own(w, named_host(c)))
        return true;
    refuse(w, c,
           "may not open WebSockets in watch mode, since it could be a stranger's name for this "
           "machine: name it with mw.hosts or mw.listen, give the route origins, or run with "
           "--no-watch");
    return false;
}
