/* The files of an app, read and compiled by a thread of its own before the workers load them. To
 * load compiled code takes a tenth of the time that it takes to parse the text, and no event waits
 * for the rest.
 *
 * Each reload has one set, and each set one thread. The last load tells which files will be needed;
 * a worker reads a file itself when the set lacks it or when it has changed since. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/file.h"

/* Files beyond these bounds are left to the workers. */
enum {
    SOURCES_FILES_MAX = 1000,
    SOURCES_FILE_BYTES_MAX = 16 << 20, /* of text */
    SOURCES_BYTES_MAX = 64 << 20       /* of text and code, in all */
};

struct source {
    struct file_state state;
    char digest[SITE_DIGEST_BYTES]; /* of the text */
    struct buffer text;
    struct buffer code;    /* empty when there is a problem */
    struct buffer problem; /* why there is no code, in one line */
};

struct sources;

/* An empty set, with one reference. NULL when out of memory. number: for sources_number. */
struct sources *sources_new(uint32_t number);
struct sources *sources_ref(struct sources *s);
/* From any thread; the last reference frees the set. s may be NULL. */
void sources_unref(struct sources *s);
uint32_t sources_number(const struct sources *s);

/* Adds a file to be read, before sources_begin. Without memory it is left to the workers. */
void sources_add(struct sources *s, const char *path);
/* Starts the thread, which wakes the loop when it is done. 0, or ERR_LIMIT: the system gives no
 * thread. The thread calls compile for one file after the other, which fills code or problem and
 * returns 0, or an error: the file is left to the workers. */
int sources_begin(struct sources *s,
                  int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                                 struct buffer *problem),
                  struct ev_loop *loop, ev_async *wake) __attribute__((warn_unused_result));
bool sources_done(struct sources *s);
/* Nobody wants the set any more: the thread ends after the file that it is at, and the set is
 * done. */
void sources_cancel(struct sources *s);
/* Cancels, and wakes nobody any more: the loop may end. */
void sources_leave(struct sources *s);

/* From any thread, once the set is done: what was read from the file at path, or NULL. */
const struct source *sources_find(const struct sources *s, const char *path);
