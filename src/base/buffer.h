/* A growable run of bytes. All zero is the empty buffer, which owns nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
};

/* Frees what the buffer owns and makes it empty again. */
void buffer_deinit(struct buffer *b);

/* Makes room for `extra` more bytes or more; what is allocated grows by half at least. 0 or
 * ERR_MEMORY. */
int buffer_reserve(struct buffer *b, size_t extra) __attribute__((warn_unused_result));

/* Appends len bytes; data may be NULL when len is 0. 0, or ERR_MEMORY: the buffer is then
 * unchanged. */
int buffer_append(struct buffer *b, const void *data, size_t len)
    __attribute__((warn_unused_result));

/* Appends text as printf formats it, without the NUL. 0, or ERR_MEMORY: the buffer is then
 * unchanged. */
int buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((warn_unused_result, format(printf, 2, 3)));

/* Drops the first n bytes (n <= len), keeping the rest. */
void buffer_consume(struct buffer *b, size_t n);
