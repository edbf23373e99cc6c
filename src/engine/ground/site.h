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
#include "transport/address_range.h"

/* Where pages find the dev overlay's WebSocket and script. */
#define SITE_OVERLAY_SOCKET "/.moonwire/overlay"
#define SITE_OVERLAY_SCRIPT SITE_OVERLAY_SOCKET ".js"

enum {
    SITE_DIGEST_BYTES = 41,   /* SHA-1 in hexadecimal digits, with the NUL */
    SITE_NOWHERE = 0xFFFFFFFF /* the index of no route */
};

enum site_route_kind { SITE_HTTP, SITE_WEBSOCKET, SITE_STATIC };

struct site_route {
    enum site_route_kind kind;
    char *pattern;
    uint32_t methods;
    struct limits limits;
    uint64_t limits_set; /* bit i: limit i was set for this route, not taken from the app */
    bool has_upgrade;    /* ask the script before the 101 */
    char **protocols;    /* NULL-terminated lists that own their texts, or NULL */
    char **origins;
    struct handshake_rules handshake; /* points into the above; made by site_commit */
    struct deflate_options deflate;
    bool eager; /* SITE_WEBSOCKET: the script is told of a new site at once (EVENT_RELOAD) */
    int folder; /* SITE_STATIC: an O_PATH descriptor */
    char *folder_path;
    char **types; /* SITE_STATIC: the app's own types: an ending, its type, … ; or NULL */
    uint32_t was; /* of a retired route: its index in the site before */
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
    /* Who may connect, and begins with a PROXY header; none: everybody, without one. */
    struct address_ranges proxies;
    char *where; /* "app.lua:12", where the app declares it; NULL: the command line does */
};

/* A file that the app was made of, or that it looked for and that did not exist. */
struct site_file {
    char *path;
    char digest[SITE_DIGEST_BYTES]; /* of its contents; "": there was no such file */
};

/* A file that is never served, whatever leads to it. */
struct site_private {
    uint64_t device;
    uint64_t inode;
};

struct site {
    struct router *router;
    /* First the routes that the app declared, then the retired ones: routes of the site before that
     * are gone but still have connections. No path leads to a retired route. */
    struct site_route *routes;
    size_t route_count;
    size_t declared_count;
    uint32_t generation; /* counted from 1 */
    /* Made by site_succeed, indexed like the routes of the site before; SITE_NOWHERE: none. */
    uint32_t *successors; /* the declared route that is the same */
    uint32_t *retirees;   /* the retired route that it became */
    struct site_file *files;
    size_t file_count;
    struct site_private *privates; /* site_folders.h */
    size_t private_count;
    struct site_listener *listeners;
    size_t listener_count;
    struct limits limits;
    char **hosts;    /* rules for those that it answers for (protocol/host_rule.h); NULL: all */
    bool overlay;    /* HTML files are answered with the tag of the dev overlay */
    char error[512]; /* the last failure, for people */
};

/* ---- life ---- */

/* An empty site with the default limits, or NULL when out of memory. */
struct site *site_new(void);
/* s may be NULL. */
void site_free(struct site *s);

/* ---- what the app declares; for the rest see site_routes.h and site_options.h ----
 * Each function copies its texts and returns ERR_MEMORY or ERR_INVALID (the app may not say that),
 * with one line in s->error. Listeners go by their index. */

/* host as in struct site_listener; port 0: the system chooses one. Returns the listener's index. */
int site_add_listener(struct site *s, const char *host, int port)
    __attribute__((warn_unused_result));
/* Says where in the app it is declared. */
int site_listener_where(struct site *s, int listener, const char *where)
    __attribute__((warn_unused_result));
/* One more certificate of the listener. key_path NULL: the key is in the certificate's file. */
int site_add_certificate(struct site *s, int listener, const char *cert_path, const char *key_path)
    __attribute__((warn_unused_result));
/* One more address, or range of addresses, of proxies that may connect to the listener
 * (address_range.h), which speaks the PROXY protocol from then on. */
int site_add_proxy(struct site *s, int listener, const char *range)
    __attribute__((warn_unused_result));
/* A file that the app was made of; digest "": it was looked for and is not there. Only the first
 * call for a path counts. */
int site_add_file(struct site *s, const char *path, const char *digest)
    __attribute__((warn_unused_result));

/* Does it serve a folder? */
bool site_has_static(const struct site *s);

/* Ends the declaring: routes take the app's limits where they set none of their own, and lists are
 * wired up. 0 or ERR_MEMORY. */
int site_commit(struct site *s) __attribute__((warn_unused_result));

/* ---- for site_routes.c and site_options.c ---- */

/* Sets s->error. Returns err. */
int site_fail(struct site *s, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Returns ERR_MEMORY. */
int site_no_memory(struct site *s);
/* The array with room for one more element, which is zeroed; NULL: s->error says that there is no
 * memory, and the array is unchanged. */
void *site_grow(struct site *s, void *array, size_t count, size_t size);
/* The WebSocket route of this index; NULL: s->error says that there is none. what: the option it is
 * for. */
struct site_route *site_websocket_route(struct site *s, int route, const char *what);
void site_route_deinit(struct site_route *r);
