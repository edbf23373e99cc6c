/* The counters' names. */
#include "engine/ground/counters.h"

#include <stddef.h>

/* In the order of enum counter. */
static const char *const names[] = {
    "accepted",
    "opened",
    "closed",
    "requests",
    "messages_in",
    "messages_out",
    "forwarded",
    "refused_requests",
    "refused_handshakes",
    "refused_connections",
    "protocol_errors",
    "too_big",
    "queue_overflows",
    "rate_overflows",
    "refused_subscriptions",
    "message_timeouts",
    "handshake_timeouts",
    "dead_peers",
    "close_timeouts",
    "dropped_pongs",
    "memory_overflows",
    "mailbox_overflows",
    "dropped_bytes",
    "tls_failures",
    "tls_resumed",
    "hook_failures",
    "stuck_workers",
    "reloads",
    "reload_failures",
    "rollbacks",
    "certificate_failures",
    "dropped_log_lines",
};

_Static_assert(sizeof(names) / sizeof(names[0]) == COUNTERS, "every counter has a name");

const char *counter_name(unsigned i)
{
    return i < COUNTERS ? names[i] : NULL;
}
