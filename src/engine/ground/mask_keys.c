/* Masking keys from getrandom(). */
#include "engine/ground/mask_keys.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"

int mask_keys_random(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int mask_keys_next(struct mask_keys *k, uint8_t key[4])
{
    if (k->left == 0) {
        if (mask_keys_random(k->bytes, sizeof(k->bytes)) < 0)
            return ERR_IO;
        k->left = sizeof(k->bytes);
    }
    uint8_t *at = k->bytes + sizeof(k->bytes) - k->left;
    memcpy(key, at, 4);
    memset(at, 0, 4); /* a key that was used must not be found in memory */
    k->left -= 4;
    return 0;
}
