/* A run of bytes with a count of references, for messages that many connections or workers send.
 * The count is atomic. The bytes may be written only before the first shared_ref. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct shared {
    _Atomic uint32_t references;
    uint32_t len;
    _Atomic uint64_t *account; /* NULL: its bytes are not counted */
    uint8_t data[];
};

/* A block of len bytes, which are not cleared, with one reference. NULL when out of memory. */
struct shared *shared_new(size_t len);
/* Takes one more reference, and returns s. */
struct shared *shared_ref(struct shared *s);
/* Counts the block's bytes in *account until it is freed. By a thread that holds a reference while
 * no other thread has one; the account must outlive the block. Does nothing for one that is counted
 * already. */
void shared_charge(struct shared *s, _Atomic uint64_t *account);
/* Gives one reference back; the last one frees the block. s may be NULL. */
void shared_unref(struct shared *s);
