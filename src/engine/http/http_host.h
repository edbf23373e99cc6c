/* For which hosts a server answers: those of mw.hosts; in watch mode, where strangers' pages must
 * not reach a developer's server by a name of their own (DNS rebinding), those of this machine. */
#pragma once

#include <stdbool.h>

struct conn;
struct worker;

/* Both answer a request that is refused with 421 (RFC 9110 §15.5.20: the server is not willing to
 * answer for this host), and return false. The head is whole. */

/* Is the host one of mw.hosts, if there are any? Before the route is found. */
bool http_host_check(struct worker *w, struct conn *c);
/* In watch mode: may the route that was found be used by this name, and is the dev overlay for this
 * peer? A peer that may not have the overlay gets 404. */
bool http_host_check_route(struct worker *w, struct conn *c);

/* Does the dev overlay belong into this request's page? */
bool http_host_wants_overlay(const struct worker *w, const struct conn *c);
