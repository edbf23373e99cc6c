/* The allocator of libev, with its reserve. */
#include "engine/worker/loop_memory.h"

#include <ev.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"

static _Atomic(void *) reserve; /* never touched, so that it is no resident memory */

static void *reallocate(void *block, long size)
{
    if (size == 0) {
        free(block);
        return NULL;
    }
    void *to = realloc(block, (size_t)size);
    if (to)
        return to;
    free(atomic_exchange(&reserve, NULL));
    return realloc(block, (size_t)size);
}

bool loop_memory_ready(void)
{
    if (atomic_load_explicit(&reserve, memory_order_relaxed))
        return true;
    void *block = malloc(LOOP_MEMORY_RESERVE), *none = NULL;
    if (block && !atomic_compare_exchange_strong(&reserve, &none, block))
        free(block); /* another thread was first */
    return block != NULL;
}

int loop_memory_init(void)
{
    ev_set_allocator(reallocate);
    return loop_memory_ready() ? 0 : ERR_MEMORY;
}
