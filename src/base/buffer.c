/* Grows runs of bytes, by half at least, so that appending costs the same however long they get. */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { BUFFER_CAP_MIN = 64 };

void buffer_deinit(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

int buffer_reserve(struct buffer *b, size_t extra)
{
    assert(b->len <= b->cap);
    if (extra <= b->cap - b->len)
        return 0;
    if (extra > SIZE_MAX / 2 - b->len)
        return ERR_MEMORY;
    size_t needed = b->len + extra;
    size_t cap = b->cap + b->cap / 2; /* cap <= SIZE_MAX / 2: no overflow */
    if (cap < needed)
        cap = needed;
    if (cap < BUFFER_CAP_MIN)
        cap = BUFFER_CAP_MIN;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        return ERR_MEMORY;
    b->data = data;
    b->cap = cap;
    return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (len == 0) /* data may be NULL then, which memcpy may not be given */
        return 0;
    int err = buffer_reserve(b, len);
    if (err)
        return err;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* One more for the NUL that vsnprintf writes and that is not counted. */
    int err = len < 0 ? ERR_MEMORY : buffer_reserve(b, (size_t)len + 1);
    if (!err) {
        vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
    return err;
}

void buffer_consume(struct buffer *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
}
