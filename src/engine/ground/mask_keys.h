/* Masking keys of a client's frames (RFC 6455 §5.3: from a strong source, not to be foreseen): bytes
 * of the kernel's generator, fetched many at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { MASK_KEYS_BYTES = 4096 };

/* All zero is ready. */
struct mask_keys {
    uint32_t left; /* bytes not yet used, at the end */
    uint8_t bytes[MASK_KEYS_BYTES];
};

/* The next key, never given twice. 0, or ERR_IO: the system has no random bytes. */
int mask_keys_next(struct mask_keys *k, uint8_t key[4]) __attribute__((warn_unused_result));
/* len bytes from the kernel. 0 or ERR_IO. */
int mask_keys_random(void *out, size_t len) __attribute__((warn_unused_result));
