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

enum { SITE_DIGEST_BYTES = 41 };

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
    bool eager; /* SITE_WEBSOCKET: the script is told of a new site at once (EVENT_RELOAD) */
    int folder; /* SITE_STATIC: an O_PATH descriptor */
    char *folder_path;
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
};

/* A file that the app was made of. */
struct site_file {
    char *path;
    char digest[SITE_DIGEST_BYTES]; /* SHA-1 in hexadecimal digits; "": it was looked for in vain */
};

/* What to say when they do not: with the app's name and the number of workers. */
#define SITE_DISAGREE                                                                             \
    "%s: its top level runs once in each of the %u workers and must declare the same routes and " \
    "listeners each time, but did not"

enum { SITE_NOWHERE = UINT32_MAX };

struct site {
    struct router *router;
    struct site_route
        *routes; /* first those that the app declared, then the retired ones: gone, but
                                * with connections of the site before. No path leads to them */
    size_t route_count;
    size_t declared_count;
    uint32_t generation;  /* from 1 */
    uint32_t *successors; /* site_succeed: by index in the site before; SITE_NOWHERE */
    uint32_t *retirees;   /* the same, of what site_retire has kept */
    struct site_file *files;
    size_t file_count;
    struct site_listener *listeners;
    size_t listener_count;
    struct limits limits;
    bool overlay;    /* HTML files are answered with the tag of the dev overlay (overlay.h) */
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

/* A file that the app was made of, or looked for (digest ""). The first word about a path counts. */
int site_add_file(struct site *s, const char *path, const char *digest);

/* Does it serve a folder? */
bool site_has_static(const struct site *s);

/* Routes take the app's limits where they set none of their own, and lists are wired up. */
int site_commit(struct site *s);

/* Do two workers' sites declare the same routes and listeners? */
bool site_agrees(const struct site *a, const struct site *b);

/* One site takes the place of another. A route is the same in both when its kind, methods and pattern
 * are, whatever its parameters are called.
 * site_succeed, before the commit, finds the pairs and takes all memory that the rest needs: 0 or
 * ERR_MEMORY. */
int site_succeed(struct site *s, const struct site *before);
/* The index of a route of the site before, or SITE_NOWHERE when it is gone. */
uint32_t site_successor(const struct site *s, uint32_t route);
/* The route of the site before moves here, as it is, for what is under way on it. Returns its index. */
uint32_t site_retire(struct site *s, struct site *before, uint32_t route);
/* The declared route that is the same as this one, which may be retired; SITE_NOWHERE: none is. */
uint32_t site_living(const struct site *s, uint32_t route);
