/* Which route does a path belong to? Patterns: literal segments, ":name" for one segment that is not
 * empty, "*name" at the end for the rest (also empty; "/files/" and below, not "/files"). Segment by
 * segment a literal wins over a parameter, a parameter over the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/http_head.h"

enum {
    ROUTER_PARAMS_MAX = 16,
    ROUTER_LITERAL_MAX = 255 /* bytes of a literal segment, decoded */
};

struct router_match {
    uint32_t target; /* as given to router_add */
    uint32_t param_count;
    struct http_span params[ROUTER_PARAMS_MAX]; /* in the path as sent, still encoded, in order */
    uint32_t allowed;                           /* union of the methods that the path knows */
};

struct router;

/* NULL when out of memory. */
struct router *router_new(void);
void router_free(struct router *r);

/* methods: a mask of enum http_method, not 0. Escapes in a pattern mean what they mean in a path.
 * 0; ERR_INVALID with *why a static text: no leading slash, empty or repeated parameter name, "*"
 * not at the end, too many parameters, a literal that is too long or has a broken escape, no or
 * unknown methods, or the same pattern (whatever its parameters are called) and method twice;
 * ERR_MEMORY. After a failure the router is as before. HEAD is answered by GET's route unless it has
 * one of its own. */
int router_add(struct router *r, const char *pattern, size_t len, uint32_t methods, uint32_t target,
               const char **why);

/* Finds the best route for path (encoded, without query) and one method bit. A pattern that fits
 * better but does not take the method does not hide one that does. 0 with *out; or ERR_NOT_FOUND
 * with out->allowed the methods that this path would take (0: none, a 404). out->allowed holds
 * HTTP_HEAD where it holds HTTP_GET, and is set in both cases. Segments are compared after
 * percent-decoding; an escaped slash stays inside its segment. Visits each node of the tree once at
 * most, whatever the path. */
int router_match(const struct router *r, const char *path, size_t len, uint32_t method,
                 struct router_match *out);

/* The i-th parameter's name of a pattern, or NULL. Not NUL-terminated: *len. */
const char *router_param_name(const char *pattern, size_t pattern_len, unsigned i, size_t *len);

/* The parameters of a path that is known to fit the pattern, into out->params and out->param_count. */
void router_params(const char *pattern, size_t pattern_len, const char *path, size_t path_len,
                   struct router_match *out);
/* Do the patterns fit the same paths, whatever their parameters are called? Literals are compared as
 * they are written. */
bool router_same_pattern(const char *a, size_t a_len, const char *b, size_t b_len);
