/* What the files of an app hold, read and compiled by a thread of its own before the workers load them:
 * to load code takes a tenth of the time that it takes to parse its text, and no event waits for the rest.
 *
 * One set for each reload, and one thread for each set. Which files will be needed is known from the last
 * time; one that is missing here, or has changed since it was read, is read by the worker itself. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/file.h"

/* What is beyond these is left to the workers. */
enum {
    SOURCES_FILES_MAX = 1000,
    SOURCES_FILE_BYTES_MAX = 16 << 20, /* of text */
    SOURCES_BYTES_MAX = 64 << 20       /* of text and code, in all */
};

struct source {
    struct file_state state;
    char digest[SITE_DIGEST_BYTES]; /* of the text */
    struct buffer text;
    struct buffer code;    /* never empty; but when there is no code: */
    struct buffer problem; /* why not, in one line */
};

struct sources;

/* An empty set, with one reference. NULL when out of memory. number: for sources_number. */
struct sources *sources_new(uint32_t number);
struct sources *sources_ref(struct sources *s);
/* From any thread; the last one frees it. NULL is allowed. */
void sources_unref(struct sources *s);
uint32_t sources_number(const struct sources *s);

/* Before sources_begin: this file too, if there is one and nothing speaks against it. */
void sources_add(struct sources *s, const char *path);
/* The thread begins. It wakes the loop when it is done. 0, or ERR_LIMIT: the system gives no thread.
 * compile is called there, for one file after the other. 0: it has filled code or problem; an error: the
 * file is left to the workers. */
int sources_begin(struct sources *s,
                  int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                                 struct buffer *problem),
                  struct ev_loop *loop, ev_async *wake) __attribute__((warn_unused_result));
bool sources_done(struct sources *s);
/* Nobody wants it any more: the thread ends with the file that it is at. It is done then. */
void sources_cancel(struct sources *s);
/* The same, and nobody is woken any more: the loop may go. */
void sources_leave(struct sources *s);

/* Once it is done, from any thread: what was read from the file at path, or NULL. */
const struct source *sources_find(const struct sources *s, const char *path);
