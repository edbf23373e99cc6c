/* What a file held when it was read, and whether it is still that file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "engine/ground/site.h"

/* How the system tells one state of a file from another. Two writes within a tick of its clock (4
 * ms) that leave the length as it was look the same; only digests tell them apart. */
struct file_state {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    struct timespec modified;
    struct timespec changed;
};

/* Appends a regular file of at most max bytes to *out. *state is its state, before and after. Does
 * not block, not even on a FIFO. 0; or ERR_IO (not there, no regular file, not readable),
 * ERR_TOO_BIG, ERR_AGAIN (it changed meanwhile) or ERR_MEMORY: *out may then hold a part of the
 * file. */
int file_read(struct buffer *out, struct file_state *state, const char *path, size_t max)
    __attribute__((warn_unused_result));
/* Is the file at path in this state now? */
bool file_is(const char *path, const struct file_state *state);
/* Writes the SHA-1 of data in hexadecimal digits, with a NUL. */
void file_digest(char out[SITE_DIGEST_BYTES], const void *data, size_t len);
