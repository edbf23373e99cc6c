/* The forms of a request's target (RFC 9112 §3.2). Part of the head parser. */
#pragma once

#include <stdbool.h>

#include "protocol/http_parts.h"

/* Finds path and query, and the host of an absolute target, in head->target, for head->method and
 * its name. The target's bytes are known to be visible ASCII. false when it is not of a form that the
 * method takes. */
bool http_target_read(struct http_head *head, const char *base);
