/* The events of one turn, on their way to the script. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ground/event.h"

/* All zero is an empty batch. */
struct batch {
    struct event *events;
    uint32_t count;
    uint32_t cap;
    void **owned; /* blocks that events point to, freed when the batch is cleared */
    uint32_t owned_count;
    uint32_t owned_cap;
    size_t owned_bytes; /* of messages in these blocks */
};

/* With so many bytes owned, a batch goes to the script before more is read: what a hook that waits
 * keeps of it is bounded by waiting_bytes and this. */
enum { BATCH_OWNED_MAX = 1024 * 1024 };

/* Frees the batch and the blocks that it owns. */
void batch_deinit(struct batch *b);
/* A fresh zeroed event at the end, valid until the next call. NULL when out of memory. */
struct event *batch_add(struct batch *b) __attribute__((warn_unused_result));
/* The batch frees `data`, which has so many bytes, when it is cleared. 0, or ERR_MEMORY: data is
 * still the caller's. */
int batch_own(struct batch *b, void *data, size_t bytes) __attribute__((warn_unused_result));
/* Gives a block back: it is the caller's to free, and true. False when the batch does not own
 * it. */
bool batch_release(struct batch *b, const void *data);
/* Empties the batch after its events were handled, and frees the blocks that it owns. */
void batch_clear(struct batch *b);
