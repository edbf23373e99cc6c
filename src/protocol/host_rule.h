/* Hosts that requests name (RFC 9110 §7.2), and rules for those that an app answers for. Pure.
 *
 * A host here is a request's authority: a name, an IPv4 address or an IPv6 address in brackets,
 * with or without a port, which counts for nothing. Names are compared in any case of letters, and
 * one dot at their end is none (RFC 3986 §3.2.2); addresses are compared as addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A rule names a host without a port. "*.example.com" stands for the hosts with exactly one label
 * in place of the "*"; "*" for all. */

/* What is wrong with a rule, as a static text for people; NULL: nothing. */
const char *host_rule_problem(const char *rule, size_t len);
/* Does a rule without a problem, which ends with a NUL, stand for this host? False for what is no
 * host. */
bool host_rule_allows(const char *rule, const char *host, size_t len);

/* Is it a name that no DNS gives away (localhost, or one below it, RFC 6761 §6.3), or an address? A
 * page whose own name leads to this machine (DNS rebinding) asks for neither. */
bool host_is_local(const char *host, size_t len);
