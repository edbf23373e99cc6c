/* An immutable run of bytes with a reference count, for what many connections or workers send.
 * The count is atomic; the bytes may be written only before the first shared_ref. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct shared {
    _Atomic uint32_t references;
    uint32_t len;
    uint8_t data[];
};

/* A block of len bytes, not filled, with one reference. NULL when out of memory. */
struct shared *shared_new(size_t len);
struct shared *shared_ref(struct shared *s);
/* Gives one reference back; the last frees the block. NULL is allowed. */
void shared_unref(struct shared *s);
