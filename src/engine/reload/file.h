/* What a file held when it was read, and whether it is still that file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "engine/ground/site.h"

/* By which the system tells one state of a file from another. Two writes within a tick of its clock (4 ms)
 * that leave the length as it was look the same: who must know compares digests. */
struct file_state {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    struct timespec modified;
    struct timespec changed;
};

/* Appends the whole of a regular file, of max bytes at most; *state is what it was before and after.
 * Never waits for a writer, as a FIFO would have it. 0; ERR_IO (not there, no regular file, not readable),
 * ERR_TOO_BIG, ERR_AGAIN (it was changed meanwhile), ERR_MEMORY: *out may then hold a part of it. */
int file_read(struct buffer *out, struct file_state *state, const char *path, size_t max)
    __attribute__((warn_unused_result));
/* Is the file at path in this state now? */
bool file_is(const char *path, const struct file_state *state);
/* SHA-1 in hexadecimal digits, with a NUL. */
void file_digest(char out[SITE_DIGEST_BYTES], const void *data, size_t len);
