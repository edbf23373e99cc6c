/* What the fields of a head say about the message and the connection (RFC 9112 §3.2, §6, §9; RFC 9110
 * §7.8, §10.1.1). Part of the head parser: runs when the head is whole. */
#pragma once

#include "protocol/http_head.h"

/* Fills in keep_alive, chunked, has_length, content_length, upgrade_websocket, expect_continue and
 * host from head->fields. 0, or ERR_PROTOCOL with p->status (400, 417, 501) and p->why. Of p only
 * response is read. */
int http_meaning_read(struct http_head_parser *p, struct http_head *head, const char *base);
