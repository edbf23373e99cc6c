/* Everything that can be exhausted has a limit, with the name that scripts use (mw.limits). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LIMITS_HEADER_COUNT_MAX = 256,
    LIMITS_LOG_LINE_BYTES_MIN = 1024,
    LIMITS_PROBATION_SECONDS_MAX = 600,
    LIMITS_HOOK_MS_MAX = 86400000,
    LIMITS_PROBATION_FAILURES_MAX = 1000,
    LIMITS_SECONDS_MAX = 31536000 /* a year, so that ticks do not overflow */
};

struct limits {
    /* One request. */
    uint32_t target_bytes; /* the request target; 414 beyond */
    uint32_t head_bytes;   /* the request line and the headers; 431 beyond */
    uint32_t header_count; /* 431 beyond */
    uint32_t body_bytes;   /* the request body; 413 beyond */
    /* One WebSocket. */
    uint32_t message_bytes;       /* a message, after inflating; 1009 beyond */
    uint32_t inflated_bytes;      /* a compressed message, after inflating; 0: message_bytes */
    uint32_t queued_bytes;        /* output that the system has not taken yet; 1008 beyond */
    uint32_t messages_per_second; /* with pings and empty fragments; 1008 beyond; 0: no limit */
    uint32_t subscriptions;       /* topics of one connection */
    uint32_t waiting_messages;    /* events behind a hook that waits; beyond, reading stops */
    uint32_t waiting_bytes;       /* of messages among them; beyond, reading stops */
    /* The script. */
    uint32_t hook_ms; /* that a hook runs without waiting; then it is stopped; 0: never */
    /* Time, in seconds. */
    uint32_t handshake_seconds;  /* from accept to a whole request head, TLS included */
    uint32_t request_seconds;    /* for a whole request body, and for a response to be taken */
    uint32_t keep_alive_seconds; /* between two requests */
    uint32_t idle_seconds;       /* of silence on a WebSocket before a ping; 0: no pings */
    uint32_t pong_seconds;       /* of silence after that ping; then the peer is given up: 1006 */
    uint32_t message_seconds;    /* from a message's first byte to its last; 1008; 0: no limit */
    uint32_t close_seconds;      /* for the peer to answer a Close and to end its side */
    uint32_t drain_seconds;      /* that closes are spread over: SIGTERM, routes that are gone */
    uint32_t reload_seconds;     /* to read an app's files again; as many to run its top level */
    uint32_t probation_seconds;  /* that new code is watched; 0: it is not */
    uint32_t stuck_seconds;      /* that a worker is stuck before it is given up; 0: never */
    /* New code. */
    uint32_t probation_failures; /* the least number at which watched code is taken back */
    /* All connections. */
    uint32_t connections;             /* of the process */
    uint32_t connections_per_address; /* 0: no limit */
    uint32_t waiting_connects;        /* of scripts, queued at an address; beyond, they fail */
    uint32_t topic_bytes;             /* a topic's name */
    uint32_t topics;                  /* with subscribers, in one worker */
    /* Memory. */
    uint32_t mailbox_bytes; /* published to one worker and not read by it; dropped beyond */
    /* The log. */
    uint32_t log_line_bytes; /* a line, with its newline; what is longer is cut */
    /* The dev overlay. */
    uint32_t watched_folders; /* of mw.static; changes in further ones reload no page */
    /* Those that may be 4 GiB and more. */
    uint64_t lua_bytes;    /* of a worker's Lua; 0: a quarter of the machine's, for all workers */
    uint64_t memory_bytes; /* of the process; 0: half of the machine's; 1013 beyond */
};

extern const struct limits limits_default;

/* What one limit may be set to. */
struct limit {
    const char *name;
    size_t offset;  /* of its field in struct limits */
    uint32_t least; /* the smallest value: 1 where nothing would work with 0 */
    bool wide;      /* the field is an uint64_t, not an uint32_t */
    bool app_only;  /* no route has its own: it counts before the route is known, or for all */
    uint64_t most;  /* the largest value, which a double holds */
};

/* The limit number i, in the order of struct limits; NULL past the last. */
const struct limit *limits_at(unsigned i);
/* The name of the limit number i; NULL past the last. */
const char *limits_name(unsigned i);
/* The number of the limit that is called name, or ERR_NOT_FOUND. */
int limits_find(const char *name) __attribute__((warn_unused_result));
/* Read and write the limit number i, which must exist; the value fits its field. */
uint64_t limits_get(const struct limits *l, unsigned i);
void limits_put(struct limits *l, unsigned i, uint64_t value);
