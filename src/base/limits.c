#include "base/limits.h"

#include <stddef.h>
#include <string.h>

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
    .handshake_seconds = 10,
    .request_seconds = 30,
    .keep_alive_seconds = 60,
    .idle_seconds = 30,
    .pong_seconds = 20,
    .close_seconds = 5,
    .drain_seconds = 5,
    .reload_seconds = 5,
    .probation_seconds = 10,
    .probation_failures = 5,
    .connections = 100000,
    .connections_per_address = 0,
    .waiting_connects = 16384,
    .watched_folders = 2000,
};

#define FIELD(name)                          \
    {                                        \
#name, offsetof(struct limits, name) \
    }
static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    FIELD(target_bytes),       FIELD(head_bytes),
    FIELD(header_count),       FIELD(body_bytes),
    FIELD(message_bytes),      FIELD(inflated_bytes),
    FIELD(queued_bytes),       FIELD(messages_per_second),
    FIELD(subscriptions),      FIELD(waiting_messages),
    FIELD(handshake_seconds),  FIELD(request_seconds),
    FIELD(keep_alive_seconds), FIELD(idle_seconds),
    FIELD(pong_seconds),       FIELD(close_seconds),
    FIELD(drain_seconds),      FIELD(reload_seconds),
    FIELD(probation_seconds),  FIELD(probation_failures),
    FIELD(connections),        FIELD(connections_per_address),
    FIELD(waiting_connects),   FIELD(watched_folders),
};
#undef FIELD

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

_Static_assert(FIELD_COUNT * sizeof(uint32_t) == sizeof(struct limits), "every limit has a name");

uint32_t *limits_field(struct limits *l, const char *name)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return (uint32_t *)(void *)((char *)l + fields[i].offset);
    }
    return NULL;
}

const char *limits_name(unsigned i)
{
    return i < FIELD_COUNT ? fields[i].name : NULL;
}
