/* Batches of events, and the memory that events point to. */
#include "engine/ground/batch.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"

void batch_deinit(struct batch *b)
{
    batch_clear(b);
    free(b->events);
    free(b->owned);
    *b = (struct batch){0};
}

struct event *batch_add(struct batch *b)
{
    if (b->count == b->cap && array_grow((void **)&b->events, &b->cap, sizeof(*b->events), 256) < 0)
        return NULL;
    struct event *e = &b->events[b->count++];
    *e = (struct event){0};
    return e;
}

int batch_own(struct batch *b, void *data, size_t bytes)
{
    if (b->owned_count == b->owned_cap &&
        array_grow((void **)&b->owned, &b->owned_cap, sizeof(*b->owned), 64) < 0)
        return ERR_MEMORY;
    b->owned[b->owned_count++] = data;
    b->owned_bytes += bytes;
    return 0;
}

bool batch_release(struct batch *b, const void *data)
{
    for (uint32_t i = 0; i < b->owned_count; i++) {
        if (b->owned[i] == data) {
            b->owned[i] = b->owned[--b->owned_count];
            return true;
        }
    }
    return false;
}

void batch_clear(struct batch *b)
{
    for (uint32_t i = 0; i < b->owned_count; i++)
        free(b->owned[i]);
    b->owned_count = 0;
    b->owned_bytes = 0;
    b->count = 0;
}
