/* Grows arrays. */
#include "base/array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int array_grow(void **items, uint32_t *cap, size_t item_bytes, uint32_t first)
{
    assert(item_bytes > 0 && first > 0);
    if (*cap > UINT32_MAX / 2)
        return ERR_MEMORY;
    uint32_t more = *cap ? *cap * 2 : first;
    if (more > SIZE_MAX / item_bytes)
        return ERR_MEMORY;
    /* The caller's pointer has a type of its own: memcpy keeps to the aliasing rules. */
    void *old;
    memcpy(&old, items, sizeof(old));
    void *grown = realloc(old, more * item_bytes);
    if (!grown)
        return ERR_MEMORY;
    memcpy(items, &grown, sizeof(grown));
    *cap = more;
    return 0;
}
