/* The fields of a head that tell about the message and the connection (RFC 9112 §3.2, §6, §9; RFC
 * 9110 §7.8, §10.1.1). Part of the head parser. */
#pragma once

#include <stdbool.h>

#include "protocol/http_parts.h"

/* Fills in keep_alive, chunked, has_length, content_length, upgrade_websocket, expect_continue and
 * host from head->fields, once the head is whole. `base` is the data that the head was parsed from.
 * Returns 0, or the status to refuse the message with (400, 417 or 501), and in *why a static text
 * for people. */
unsigned http_meaning_read(struct http_head *head, const char *base, bool response,
                           const char **why) __attribute__((warn_unused_result));
