/* The forms of a request's target (RFC 9112 §3.2). Part of the head parser. */
#pragma once

#include <stdbool.h>

#include "protocol/http_parts.h"

/* Sets head->path and head->query, and head->host for an absolute target, from head->target, whose
 * bytes are known to be visible ASCII. `base` is the data that the head was parsed from. False when
 * the target is not of a form that the method takes. */
bool http_target_read(struct http_head *head, const char *base);
