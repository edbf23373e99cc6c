/* What was done and what was refused or dropped: one set per worker, written by its thread only,
 * read by any. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum counter {
    COUNT_ACCEPTED, /* connections taken */
    COUNT_OPENED,   /* WebSockets opened */
    COUNT_CLOSED,   /* WebSockets closed */
    COUNT_REQUESTS, /* HTTP requests answered, handshakes not counted */
    COUNT_MESSAGES_IN,
    COUNT_MESSAGES_OUT,     /* a published message counts once for each receiver */
    COUNT_FORWARDED,        /* published messages posted to another worker, once for each */
    COUNT_REFUSED_REQUESTS, /* heads and bodies refused (4xx, 5xx by the server itself) */
    COUNT_REFUSED_HANDSHAKES,
    COUNT_REFUSED_CONNECTIONS, /* over connections or connections_per_address */
    COUNT_PROTOCOL_ERRORS,     /* 1002 and 1007 */
    COUNT_TOO_BIG,             /* 1009 */
    COUNT_QUEUE_OVERFLOWS,     /* queued_bytes: 1008 */
    COUNT_RATE_OVERFLOWS,      /* messages_per_second: 1008 */
    COUNT_HANDSHAKE_TIMEOUTS,
    COUNT_DEAD_PEERS, /* no answer to a ping */
    COUNT_CLOSE_TIMEOUTS,
    COUNT_DROPPED_PONGS, /* a newer ping's pong took the place of an unsent one */
    COUNT_DROPPED_BYTES, /* queued output thrown away with its connection */
    COUNT_TLS_FAILURES,
    COUNT_TLS_RESUMED, /* on both ends */
    COUNT_HOOK_FAILURES,
    COUNT_RELOADS,
    COUNT_RELOAD_FAILURES, /* of rollbacks too */
    COUNT_ROLLBACKS,
    COUNT_CERTIFICATE_FAILURES, /* a new pair was not taken, the old one is kept */
    COUNT_DROPPED_LOG_LINES,    /* nobody read them; base/log_sink.c counts */
    COUNTERS
};

struct counters {
    _Atomic uint64_t value[COUNTERS];
};

static inline void count(struct counters *c, enum counter which, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&c->value[which], memory_order_relaxed);
    atomic_store_explicit(&c->value[which], now + n, memory_order_relaxed);
}

/* For counters that more than one thread writes. */
static inline void count_shared(struct counters *c, enum counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value[which], n, memory_order_relaxed);
}

/* "messages_in", or NULL past the last. */
const char *counter_name(unsigned i);
