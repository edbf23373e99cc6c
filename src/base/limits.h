/* Everything that can be exhausted has a limit, with the name that scripts use (mw.limits). */
#pragma once

#include <stdint.h>

struct limits {
    /* One request. */
    uint32_t target_bytes; /* request target; over it 414 */
    uint32_t head_bytes;   /* request line and headers; over it 431 */
    uint32_t header_count; /* over it 431 */
    uint32_t body_bytes;   /* request body; over it 413 */
    /* One WebSocket. */
    uint32_t message_bytes;       /* a message, after inflating; over it 1009 */
    uint32_t inflated_bytes;      /* the same for a compressed one; 0: as message_bytes */
    uint32_t queued_bytes;        /* output not yet taken by the system; over it 1008 */
    uint32_t messages_per_second; /* 0: no limit; over it 1008 */
    uint32_t subscriptions;       /* topics of one connection */
    uint32_t waiting_messages;    /* events held back behind a hook that waits; then not read */
    /* Time, in seconds. */
    uint32_t handshake_seconds;  /* from accept to a whole request head, TLS included */
    uint32_t request_seconds;    /* for a whole request body, and for a response to be taken */
    uint32_t keep_alive_seconds; /* between two requests */
    uint32_t idle_seconds;       /* silence on a WebSocket before a ping; 0: never */
    uint32_t pong_seconds;       /* silence after that ping before it is given up: 1006 */
    uint32_t close_seconds;      /* for the peer to answer a close and to end its side */
    uint32_t drain_seconds;      /* over which closes are paced: SIGTERM, routes that are gone */
    uint32_t
        reload_seconds; /* for the files, and for the top level, of an app that is loaded again */
    uint32_t probation_seconds; /* for which new code is watched; 0: it is not */
    /* New code. */
    uint32_t
        probation_failures; /* so many while it is watched, at least: the code before it comes back */
    /* All connections. */
    uint32_t connections;             /* of the process */
    uint32_t connections_per_address; /* 0: no limit */
    uint32_t waiting_connects; /* of scripts, for their turn at an address; over it they fail */
    /* The dev overlay. */
    uint32_t watched_folders; /* of mw.static; pages do not reload for what changes in more */
};

extern const struct limits limits_default;

/* One field of struct limits, by its name: for mw.limits and the tests. NULL when there is none. */
uint32_t *limits_field(struct limits *l, const char *name);
/* The i-th name, or NULL past the last. */
const char *limits_name(unsigned i);
