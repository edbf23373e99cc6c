/* Lua declares a site. */
#include "script/api_site.h"

#include "base/error.h"
#include "engine/ground/site.h"
#include "engine/ground/site_folders.h"
#include "engine/ground/site_options.h"
#include "engine/ground/site_routes.h"
#include "engine/reload/reload.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"

const char *mw_site_error(const struct site *s)
{
    return s->error;
}

int mw_site_route(struct site *s, const char *pattern, size_t len, uint32_t methods)
{
    return site_add_route(s, pattern, len, methods);
}

int mw_site_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                   size_t folder_len)
{
    return site_add_static(s, prefix, prefix_len, folder, folder_len);
}

int mw_site_folder_check(struct site *s, int route)
{
    return site_check_folder(s, route);
}

int mw_site_limit(struct site *s, int route, const char *name, double value)
{
    return site_set_limit(s, route, name, value);
}

int mw_site_protocol(struct site *s, int route, const char *name, size_t len)
{
    return site_add_protocol(s, route, name, len);
}

int mw_site_origin(struct site *s, int route, const char *origin, size_t len)
{
    return site_add_origin(s, route, origin, len);
}

int mw_site_compress(struct site *s, int route, const char *name, double value)
{
    return site_set_compress(s, route, name, value);
}

int mw_site_upgrade(struct site *s, int route, bool has_hook)
{
    if (route < 0 || (size_t)route >= s->route_count)
        return ERR_INVALID;
    s->routes[route].has_upgrade = has_hook;
    return 0;
}

int mw_site_eager(struct site *s, int route, bool eager)
{
    if (route < 0 || (size_t)route >= s->route_count)
        return ERR_INVALID;
    s->routes[route].eager = eager;
    return 0;
}

int mw_site_host(struct site *s, const char *rule, size_t len)
{
    return site_add_host(s, rule, len);
}

int mw_site_listen(struct site *s, const char *host, int port, const char *where)
{
    int listener = site_add_listener(s, host, port);
    int err = listener < 0 ? listener : site_listener_where(s, listener, where);
    return err ? err : listener;
}

int mw_site_certificate(struct site *s, int listener, const char *cert_path, const char *key_path)
{
    return site_add_certificate(s, listener, cert_path, key_path);
}

int mw_site_dev_certificate(struct site *s, int listener)
{
    if (listener < 0 || (size_t)listener >= s->listener_count)
        return ERR_INVALID;
    s->listeners[listener].development = true;
    return 0;
}

int mw_site_file(struct worker *w, struct site *s, const char *path, const char *digest)
{
    if (s)
        return site_add_file(s, path, digest);
    if (w->server->reload)
        reload_late_file(w->server->reload, path, digest);
    return 0;
}

void mw_site_overlay(struct site *s)
{
    s->overlay = true;
}
