/* Finds the route that a path belongs to. A pattern has literal segments, ":name" for one segment
 * that is not empty, and "*name" at the end for the rest, which may be empty (of "/files/" and
 * below, not of "/files"). Names are letters, digits and "_". Segment by segment a literal wins
 * over a parameter, and a parameter over the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http_parts.h"

enum {
    ROUTER_PARAMS_MAX = 16,
    ROUTER_LITERAL_MAX = 255 /* bytes of a literal segment, decoded */
};

struct router_match {
    uint32_t target; /* as given to router_add */
    uint32_t param_count;
    struct http_span params[ROUTER_PARAMS_MAX]; /* in the path as sent, still encoded, in order */
    uint32_t allowed; /* the methods that the path takes, of all patterns that fit it */
};

struct router;

/* NULL when out of memory. */
struct router *router_new(void);
void router_free(struct router *r);

/* Adds a pattern for `methods`, a mask of enum http_method that is not 0. Escapes in a pattern mean
 * what they mean in a path. HEAD goes to GET's route unless it has one of its own. Returns 0, or
 *   ERR_INVALID  with *why, a static text for people: no leading slash, a parameter's name that is
 *                empty, repeated or no name, "*" not at the end, too many parameters, a literal
 *                that is too long, has a broken escape or one of the signs that other routers give
 *                a meaning ("{id}", ":id?", "(.*)"; an escape stands for the sign itself), no or
 *                unknown methods, or the same pattern (whatever its parameters are called) and
 *                method twice
 *   ERR_MEMORY
 * After a failure the router is as before. */
int router_add(struct router *r, const char *pattern, size_t len, uint32_t methods, uint32_t target,
               const char **why) __attribute__((warn_unused_result));

/* Finds the best route for a path (encoded, without query) and one method bit. A pattern that fits
 * better but does not take the method does not hide one that does. Returns 0 with *out, or
 * ERR_NOT_FOUND with out->allowed alone: the methods that this path takes, 0 for a path that no
 * pattern fits. out->allowed holds HTTP_HEAD where it holds HTTP_GET. Segments are compared after
 * percent-decoding; an escaped slash stays inside its segment. Each node of the tree is visited
 * once at most, whatever the path. */
int router_match(const struct router *r, const char *path, size_t len, uint32_t method,
                 struct router_match *out) __attribute__((warn_unused_result));

/* The name of a pattern's i-th parameter, *len bytes in the pattern, or NULL. */
const char *router_param_name(const char *pattern, size_t pattern_len, unsigned i, size_t *len);

/* Sets out->params and out->param_count for a path that is known to fit the pattern. */
void router_params(const char *pattern, size_t pattern_len, const char *path, size_t path_len,
                   struct router_match *out);

/* True when two patterns fit the same paths, whatever their parameters are called. Literals are
 * compared as they are written. */
bool router_same_pattern(const char *a, size_t a_len, const char *b, size_t b_len);
