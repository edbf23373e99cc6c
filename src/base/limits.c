/* The table of limits: defaults, names and bounds. */
#include "base/limits.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"

const struct limits limits_default = {
    .target_bytes = 8192,
    .head_bytes = 16384,
    .header_count = 100,
    .body_bytes = 1 << 20,
    .message_bytes = 1 << 20,
    .inflated_bytes = 0,
    .queued_bytes = 16 << 20,
    .messages_per_second = 0,
    .subscriptions = 1024,
    .waiting_messages = 64,
    .waiting_bytes = 1 << 20,
    .hook_ms = 1000,
    .handshake_seconds = 10,
    .request_seconds = 30,
    .keep_alive_seconds = 60,
    .idle_seconds = 30,
    .pong_seconds = 20,
    .message_seconds = 60,
    .close_seconds = 5,
    .drain_seconds = 5,
    .reload_seconds = 5,
    .probation_seconds = 10,
    .stuck_seconds = 30,
    .probation_failures = 5,
    .connections = 100000,
    .connections_per_address = 0,
    .waiting_connects = 16384,
    .topic_bytes = 1024,
    .topics = 200000,
    .mailbox_bytes = 64 << 20,
    .log_line_bytes = 16384,
    .watched_folders = 2000,
    .lua_bytes = 0,
    .memory_bytes = 0,
};

enum { ROUTE = false, APP = true }; /* limit.app_only */

#define WIDE_MAX ((uint64_t)1 << 53)

#define BYTES_OF(name) sizeof(((struct limits *)0)->name)
#define LIMIT(name, least, most, app_only)                                                         \
    {                                                                                              \
#name, offsetof(struct limits, name), least, BYTES_OF(name) == sizeof(uint64_t), app_only, \
            most                                                                                   \
    }
static const struct limit table[] = {
    LIMIT(target_bytes, 1, UINT32_MAX, APP),
    LIMIT(head_bytes, 1, UINT32_MAX, APP),
    LIMIT(header_count, 1, LIMITS_HEADER_COUNT_MAX, APP),
    LIMIT(body_bytes, 0, UINT32_MAX, ROUTE),
    LIMIT(message_bytes, 1, UINT32_MAX, ROUTE),
    LIMIT(inflated_bytes, 0, UINT32_MAX, ROUTE),
    LIMIT(queued_bytes, 1, UINT32_MAX, ROUTE),
    LIMIT(messages_per_second, 0, UINT32_MAX, ROUTE),
    LIMIT(subscriptions, 0, UINT32_MAX, ROUTE),
    LIMIT(waiting_messages, 1, UINT32_MAX, ROUTE),
    LIMIT(waiting_bytes, 1, UINT32_MAX, ROUTE),
    LIMIT(hook_ms, 0, LIMITS_HOOK_MS_MAX, ROUTE),
    LIMIT(handshake_seconds, 0, LIMITS_SECONDS_MAX, APP),
    LIMIT(request_seconds, 0, LIMITS_SECONDS_MAX, ROUTE),
    LIMIT(keep_alive_seconds, 0, LIMITS_SECONDS_MAX, APP),
    LIMIT(idle_seconds, 0, LIMITS_SECONDS_MAX, ROUTE),
    LIMIT(pong_seconds, 0, LIMITS_SECONDS_MAX, ROUTE),
    LIMIT(message_seconds, 0, LIMITS_SECONDS_MAX, ROUTE),
    LIMIT(close_seconds, 0, LIMITS_SECONDS_MAX, ROUTE),
    LIMIT(drain_seconds, 0, LIMITS_SECONDS_MAX, APP),
    LIMIT(reload_seconds, 0, LIMITS_SECONDS_MAX, APP),
    LIMIT(probation_seconds, 0, LIMITS_PROBATION_SECONDS_MAX, APP),
    LIMIT(stuck_seconds, 0, LIMITS_SECONDS_MAX, APP),
    LIMIT(probation_failures, 1, LIMITS_PROBATION_FAILURES_MAX, APP),
    LIMIT(connections, 1, UINT32_MAX, APP),
    LIMIT(connections_per_address, 0, UINT32_MAX, APP),
    LIMIT(waiting_connects, 0, UINT32_MAX, ROUTE),
    LIMIT(topic_bytes, 1, UINT32_MAX, APP),
    LIMIT(topics, 0, UINT32_MAX, APP),
    LIMIT(mailbox_bytes, 1, UINT32_MAX, APP),
    LIMIT(log_line_bytes, LIMITS_LOG_LINE_BYTES_MIN, UINT32_MAX, APP),
    LIMIT(watched_folders, 0, UINT32_MAX, APP),
    LIMIT(lua_bytes, 0, WIDE_MAX, APP),
    LIMIT(memory_bytes, 0, WIDE_MAX, APP),
};
#undef LIMIT
#undef BYTES_OF

enum {
    LIMIT_COUNT = sizeof(table) / sizeof(table[0]),
    WIDE = (sizeof(struct limits) - offsetof(struct limits, lua_bytes)) / sizeof(uint64_t)
};

/* A wide field is as long as two others, and one other may be missing before the first. */
_Static_assert((LIMIT_COUNT + WIDE + 1) / 2 * sizeof(uint64_t) == sizeof(struct limits),
               "every limit has a name");
_Static_assert(LIMIT_COUNT <= 64, "site_route has a bit for each");

const struct limit *limits_at(unsigned i)
{
    return i < LIMIT_COUNT ? &table[i] : NULL;
}

const char *limits_name(unsigned i)
{
    return i < LIMIT_COUNT ? table[i].name : NULL;
}

int limits_find(const char *name)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (strcmp(table[i].name, name) == 0)
            return (int)i;
    }
    return ERR_NOT_FOUND;
}

uint64_t limits_get(const struct limits *l, unsigned i)
{
    assert(i < LIMIT_COUNT);
    const void *field = (const char *)l + table[i].offset;
    return table[i].wide ? *(const uint64_t *)field : *(const uint32_t *)field;
}

void limits_put(struct limits *l, unsigned i, uint64_t value)
{
    assert(i < LIMIT_COUNT && value <= table[i].most);
    void *field = (char *)l + table[i].offset;
    if (table[i].wide)
        *(uint64_t *)field = value;
    else
        *(uint32_t *)field = (uint32_t)value;
}
