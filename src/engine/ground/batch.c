#include "engine/ground/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void batch_deinit(struct batch *b)
{
    batch_clear(b);
    free(b->events);
    free(b->owned);
    memset(b, 0, sizeof *b);
}

struct event *batch_add(struct batch *b)
{
    if (b->count == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 256;
        struct event *events = realloc(b->events, cap * sizeof *events);
        if (!events)
            return NULL;
        b->events = events;
        b->cap = cap;
    }
    struct event *e = &b->events[b->count++];
    memset(e, 0, sizeof *e);
    return e;
}

int batch_own(struct batch *b, void *data)
{
    if (b->owned_count == b->owned_cap) {
        uint32_t cap = b->owned_cap ? b->owned_cap * 2 : 64;
        void **owned = realloc(b->owned, cap * sizeof *owned);
        if (!owned)
            return ERR_MEMORY;
        b->owned = owned;
        b->owned_cap = cap;
    }
    b->owned[b->owned_count++] = data;
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
    b->count = 0;
}
