/* The events of one loop turn, on their way to the script. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ground/event.h"

struct batch {
    struct event *events;
    uint32_t count;
    uint32_t cap;
    void **owned; /* freed when the batch is done */
    uint32_t owned_count;
    uint32_t owned_cap;
};

void batch_deinit(struct batch *b);
/* A fresh zeroed event at the end, or NULL when out of memory. Valid until the next call. */
struct event *batch_add(struct batch *b);
/* The batch frees data when it is done. 0, or ERR_MEMORY (data is then still the caller's). */
int batch_own(struct batch *b, void *data) __attribute__((warn_unused_result));
/* It does not free data, the caller does. False: it would not have. */
bool batch_release(struct batch *b, const void *data);
/* All events were handled. */
void batch_clear(struct batch *b);
