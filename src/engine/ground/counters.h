/* Counters of what was done, refused and dropped. Each worker has a set, which its thread alone
 * writes and every thread may read; count_shared is for the exceptions. */
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
    COUNT_FORWARDED,        /* a published message counts once for each worker it is posted to */
    COUNT_REFUSED_REQUESTS, /* by the server itself, for their head or body (4xx, 5xx) */
    COUNT_REFUSED_HANDSHAKES,
    COUNT_REFUSED_CONNECTIONS,   /* over a limit, or not from a proxy */
    COUNT_PROTOCOL_ERRORS,       /* 1002 and 1007 */
    COUNT_TOO_BIG,               /* 1009 */
    COUNT_QUEUE_OVERFLOWS,       /* queued_bytes: 1008 */
    COUNT_RATE_OVERFLOWS,        /* messages_per_second: 1008 */
    COUNT_REFUSED_SUBSCRIPTIONS, /* subscriptions, topics, topic_bytes */
    COUNT_MESSAGE_TIMEOUTS,      /* message_seconds: 1008 */
    COUNT_HANDSHAKE_TIMEOUTS,
    COUNT_DEAD_PEERS, /* did not answer a ping */
    COUNT_CLOSE_TIMEOUTS,
    COUNT_DROPPED_PONGS,     /* a newer pong took the place of an unsent one */
    COUNT_MEMORY_OVERFLOWS,  /* memory_bytes: 1013 */
    COUNT_MAILBOX_OVERFLOWS, /* mailbox_bytes: published messages that were dropped */
    COUNT_DROPPED_BYTES,     /* queued output thrown away with its connection */
    COUNT_TLS_FAILURES,
    COUNT_TLS_RESUMED, /* as the server and as the client */
    COUNT_HOOK_FAILURES,
    COUNT_STUCK_WORKERS, /* whose turn lasted for a second; the main thread counts */
    COUNT_RELOADS,
    COUNT_RELOAD_FAILURES, /* and those of rollbacks */
    COUNT_ROLLBACKS,
    COUNT_CERTIFICATE_FAILURES, /* a new pair could not be used: the old one stays */
    COUNT_DROPPED_LOG_LINES,    /* nobody read them in time; base/log_sink.c counts */
    COUNTERS                    /* their number */
};

struct counters {
    _Atomic uint64_t value[COUNTERS];
};

static inline void count(struct counters *c, enum counter which, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&c->value[which], memory_order_relaxed);
    atomic_store_explicit(&c->value[which], now + n, memory_order_relaxed);
}

/* Counts where more than one thread writes the counter. */
static inline void count_shared(struct counters *c, enum counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value[which], n, memory_order_relaxed);
}

/* The name that users see, such as "messages_in"; NULL from COUNTERS on. */
const char *counter_name(unsigned i);
