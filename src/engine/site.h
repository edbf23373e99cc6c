/* What one generation of an app serves: routes with their options and limits, folders, listeners.
 * Filled by the script layer before the commit, not changed after it (but for has_upgrade). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "protocol/extension.h"
#include "protocol/handshake.h"
#include "protocol/message.h"
#include "protocol/router.h"

enum site_route_kind { SITE_HTTP, SITE_WEBSOCKET, SITE_STATIC };

struct site_route {
    enum site_route_kind kind;
    char *pattern;
    uint32_t methods;
    struct limits limits;
    uint32_t limits_set; /* bit i: field i was set for this route, not taken from the app */
    bool has_upgrade;    /* ask the script before the 101 */
    char **protocols;    /* NULL-terminated lists that own their texts, or NULL */
    char **origins;
    struct handshake_rules handshake; /* points into the above; made by site_commit */
    struct deflate_options deflate;
    int folder; /* SITE_STATIC: an O_PATH descriptor */
};

struct site_certificate {
    char *cert_path;
    char *key_path;
};

struct site_listener {
    char *host; /* NULL: loopback; "*"; "unix:/path"; a name or an address */
    int port;
    struct site_certificate *certificates; /* none: plain */
    size_t certificate_count;
    bool development; /* TLS with the development certificate */
};

struct site {
    struct router *router;
    struct site_route *routes;
    size_t route_count;
    struct site_listener *listeners;
    size_t listener_count;
    struct limits limits;
    char error[512]; /* the last failure, for people */
};

struct site *site_new(void);
void site_free(struct site *s);

/* Each returns an index or 0, or a negative error with s->error set. */
int site_add_route(struct site *s, const char *pattern, size_t len, uint32_t methods);
int site_add_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                    size_t folder_len);
int site_set_limit(struct site *s, int route, const char *name, double value);
int site_add_protocol(struct site *s, int route, const char *name, size_t len);
int site_add_origin(struct site *s, int route, const char *origin, size_t len);
int site_set_compress(struct site *s, int route, const char *name, double value);
int site_add_listener(struct site *s, const char *host, int port);
int site_add_certificate(struct site *s, int listener, const char *cert_path, const char *key_path);

/* Routes take the app's limits where they set none of their own, and lists are wired up. */
int site_commit(struct site *s);
