/* The functions by which Lua declares a site: what the top level of an app has asked for. Lua
 * collects that as a plan and declares it here when the top level has ended. script/api.h includes
 * this.
 *
 * Texts are borrowed for the call. On success functions return 0, or an index from 0 where that is
 * said; on failure a negative enum error, with a text for people in mw_site_error. Routes and
 * listeners are named by these indexes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site;   /* what one generation of an app serves */
struct worker; /* a thread with its event loop, its connections and its Lua state */

/* The text of the last failure; valid until the next one. */
const char *mw_site_error(const struct site *s);

/* Adds a route and returns its index. methods: a mask of enum http_method, or HTTP_WEBSOCKET. */
int mw_site_route(struct site *s, const char *pattern, size_t len, uint32_t methods);
/* Adds a folder that is served under the prefix (GET and HEAD) and returns its route's index. */
int mw_site_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                   size_t folder_len);
/* Checks the folder of a route when everything else is declared: it may not hold a file of the
 * app's or a private key. */
int mw_site_folder_check(struct site *s, int route);
/* Sets a limit by its name in struct limits, for a route; route -1: for the app, and so for all
 * routes that do not set it. */
int mw_site_limit(struct site *s, int route, const char *name, double value);

/* The next five are for WebSocket routes. */
/* Adds a subprotocol that the route speaks; earlier ones are preferred. */
int mw_site_protocol(struct site *s, int route, const char *name, size_t len);
/* Adds an origin from which the route may be opened. */
int mw_site_origin(struct site *s, int route, const char *origin, size_t len);
/* Sets an option of permessage-deflate by its name in struct deflate_options. */
int mw_site_compress(struct site *s, int route, const char *name, double value);
/* Says whether the route has on_upgrade. May be called for a site that serves already. */
int mw_site_upgrade(struct site *s, int route, bool has_hook);
/* Says whether open connections of the route get EVENT_RELOAD when another site takes over. */
int mw_site_eager(struct site *s, int route, bool eager);

/* Adds a rule for the hosts that the app answers for; without any it answers for all. */
int mw_site_host(struct site *s, const char *rule, size_t len);

/* Adds a listener and returns its index. host: NULL for loopback, "*" for every address,
 * "unix:/path" for a local socket, else a name or an address. where: the app's line that declares
 * it, "app.lua:12". */
int mw_site_listen(struct site *s, const char *host, int port, const char *where);
/* Adds a certificate to a listener, which makes it TLS. Of several, SNI chooses. key_path: NULL:
 * the key is in the certificate's file. */
int mw_site_certificate(struct site *s, int listener, const char *cert_path, const char *key_path);
/* Makes the listener TLS with the development certificate for localhost, which is made when there
 * is none. */
int mw_site_dev_certificate(struct site *s, int listener);

/* Adds a file that the app is made of. digest: of the text that was read (mw_digest); "": there was
 * no such file, but it would be used if it came. s NULL: adds it to the app that serves. */
int mw_site_file(struct worker *w, struct site *s, const char *path, const char *digest);
/* Says that the routes of the dev overlay are declared: HTML files get its tag from then on. */
void mw_site_overlay(struct site *s);
