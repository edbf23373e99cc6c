/* Masking keys for a client's frames. RFC 6455 §5.3 wants a strong source that nobody can predict:
 * these are bytes of the kernel's generator, fetched many at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { MASK_KEYS_BYTES = 4096 };

/* All zero is ready. */
struct mask_keys {
    uint32_t left; /* bytes at the end that are not used yet */
    uint8_t bytes[MASK_KEYS_BYTES];
};

/* The next key, never given twice. 0, or ERR_IO: the system has no random bytes. */
int mask_keys_next(struct mask_keys *k, uint8_t key[4]) __attribute__((warn_unused_result));
/* Fills out with len bytes from the kernel's generator. 0 or ERR_IO. */
int mask_keys_random(void *out, size_t len) __attribute__((warn_unused_result));
