/* Room for one more item in an array that grows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Doubles the capacity of an array, for callers whose count has reached it:
 *
 *   if (list->count == list->cap) {
 *       int err = array_grow((void **)&list->items, &list->cap, sizeof(*list->items), 16);
 *       ...
 *
 * `items` is the address of the caller's pointer, which is malloc'ed and the caller's to free, and
 * NULL while *cap is 0. item_bytes is the size of one item. An empty array gets room for `first`
 * items (1 or more). New items are not cleared.
 * Returns 0, or ERR_MEMORY: the array and *cap are then unchanged. */
int array_grow(void **items, uint32_t *cap, size_t item_bytes, uint32_t first)
    __attribute__((warn_unused_result));
