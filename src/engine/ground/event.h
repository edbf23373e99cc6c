/* What the loop tells the script: one struct for C and for LuaJIT's ffi.cdef, which reads this
 * text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "protocol/http_parts.h"

/* Those of a WebSocket come first, up to EVENT_RELOAD: the dispatcher compares with that. */
enum event_kind {
    EVENT_OPEN = 1, /* the 101 is on its way. route */
    EVENT_MESSAGE,  /* data, len; flag: binary; code: 1 when the data lies in a block of its own,
                     * which a string may take (mw_string_begin). route */
    EVENT_DRAIN,    /* queued output, once the system had refused some, is all taken. route */
    EVENT_ERROR,    /* the peer broke the protocol or a limit: data is the text, code the close code
                     * that was sent. EVENT_CLOSE follows. route */
    EVENT_CLOSE,    /* the last event of a WebSocket: code; data: the reason; flag: it was clean.
                     * route */
    EVENT_RELOAD,   /* another site serves now, and the route of this WebSocket wants to be told at
                     * once (mw_site_eager). route */

    EVENT_UPGRADE, /* a valid upgrade request for a route with on_upgrade; answer it with
                    * mw_upgrade_accept or mw_respond. route, serial */
    EVENT_REQUEST, /* a whole HTTP request; answer it with mw_respond. route, serial */
    EVENT_ABORT,   /* the peer of an unanswered EVENT_UPGRADE or EVENT_REQUEST is gone. route,
                    * serial */
    EVENT_TIMER,   /* conn is the timer's id; flag: it will not fire again */
    EVENT_INPUT    /* conn is the descriptor of mw_input: it can be read */
};

struct event {
    const char *data; /* valid until the batch is done */
    double conn;      /* handle (script/api.h) */
    uint32_t len;
    int32_t route; /* index in the site; signed, as slot: LuaJIT reads that as it is */
    union {
        uint32_t serial; /* names one request of its connection */
        int32_t slot;    /* of a WebSocket's events: its handle's */
    };
    uint16_t code;
    uint8_t kind; /* enum event_kind */
    uint8_t flag;
};

/* The events that the script has: one place for the life of a worker. */
struct event_batch {
    const struct event *events; /* NULL between batches */
    int32_t count;
    int32_t at; /* the next one: the script moves it */
    /* A hook's time (limits.hook_ms) begins when `at` moves, or this, which both sides may advance.
     * Another thread looks at them (script/watched.h), so that C writes both with
     * __atomic_store_n. */
    uint32_t ticks;
    /* Of what runs when no event is handled. 0: the app's; UINT32_MAX: it may last, and nobody
     * looks (a script, or its route's limit). */
    uint32_t hook_ms;
};

/* A request that waits for its answer, as the script sees it. */
struct request {
    const struct http_head *head; /* spans are offsets from base */
    const char *base;
    const char *body;
    uint32_t body_len;
    uint32_t route;
    uint32_t param_count;
    struct http_span params[16]; /* offsets from base, still encoded */
    bool secure;                 /* over TLS */
};
