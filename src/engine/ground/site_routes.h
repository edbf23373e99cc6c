/* The routes of a site: paths, folders, and who may connect. Each function copies its texts and
 * returns ERR_MEMORY, ERR_INVALID (the app may not say that), or the error that is named with it,
 * with one line in s->error. Routes go by their index. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/ground/site.h"

/* A route for HTTP methods, or for HTTP_WEBSOCKET. Returns its index. */
int site_add_route(struct site *s, const char *pattern, size_t len, uint32_t methods)
    __attribute__((warn_unused_result));
/* A folder's files below a prefix. Returns the route's index, or ERR_NOT_FOUND: there is no such
 * folder. */
int site_add_static(struct site *s, const char *prefix, size_t prefix_len, const char *folder,
                    size_t folder_len) __attribute__((warn_unused_result));
/* What files of the folder are sent as when their names end with a dot and `ending`, in any case of
 * letters. */
int site_add_type(struct site *s, int route, const char *ending, size_t ending_len,
                  const char *type, size_t type_len) __attribute__((warn_unused_result));
/* One more subprotocol that the WebSocket route speaks, the preferred one first. */
int site_add_protocol(struct site *s, int route, const char *name, size_t len)
    __attribute__((warn_unused_result));
/* One more rule (protocol/host_rule.h) for the hosts that the app answers for. */
int site_add_host(struct site *s, const char *rule, size_t len) __attribute__((warn_unused_result));
/* One more rule (protocol/origin.h) for the origins whose pages may open the WebSocket route. */
int site_add_origin(struct site *s, int route, const char *origin, size_t len)
    __attribute__((warn_unused_result));
