/* Files as they were read. */
#include "engine/reload/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "protocol/sha1.h"

enum { READ_BYTES = 65536 };

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_state(const struct file_state *a, const struct file_state *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

static struct file_state state_of(const struct stat *st)
{
    return (struct file_state){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .modified = st->st_mtim,
        .changed = st->st_ctim,
    };
}

static int look(int fd, struct file_state *state)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return ERR_IO;
    *state = state_of(&st);
    return 0;
}

static int read_to_end(struct buffer *out, int fd, size_t max)
{
    size_t before = out->len;
    for (;;) {
        if (buffer_reserve(out, READ_BYTES) < 0)
            return ERR_MEMORY;
        ssize_t n = read(fd, out->data + out->len, READ_BYTES);
        if (n == 0)
            return 0;
        if (n < 0)
            return ERR_IO;
        out->len += (size_t)n;
        if (out->len - before > max)
            return ERR_TOO_BIG;
    }
}

static int read_steady(struct buffer *out, struct file_state *state, int fd, size_t max)
{
    struct file_state after;
    int err = look(fd, state);
    if (err)
        return err;
    if (state->size > max)
        return ERR_TOO_BIG;
    if (buffer_reserve(out, (size_t)state->size + READ_BYTES) <
        0) /* so that it is not moved as it grows */
        return ERR_MEMORY;
    err = read_to_end(out, fd, max);
    if (err)
        return err;
    return look(fd, &after) == 0 && same_state(state, &after) ? 0 : ERR_AGAIN;
}

int file_read(struct buffer *out, struct file_state *state, const char *path, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ERR_IO;
    int err = read_steady(out, state, fd, max);
    close(fd);
    return err;
}

bool file_is(const char *path, const struct file_state *state)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    struct file_state now = state_of(&st);
    return same_state(&now, state);
}

void file_digest(char out[SITE_DIGEST_BYTES], const void *data, size_t len)
{
    uint8_t digest[SHA1_BYTES];
    sha1(digest, data, len);
    for (size_t i = 0; i < SHA1_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
