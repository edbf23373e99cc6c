/* Messages as a chat sends them: JSON, about 1 KiB, all different, compressible as such text is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct chat {
    unsigned count;
    uint8_t **plain;
    size_t *plain_sizes;
    uint8_t **packed; /* each compressed on its own (RFC 7692 §7.2.1) */
    size_t *packed_sizes;
};

void chat_init(struct chat *c, unsigned count, size_t size);
