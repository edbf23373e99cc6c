/* Which of a set of files have changed? Folders are watched, so that files which editors replace are
 * seen, and contents are compared, so that a file which was only touched is not. The main thread's. */
#pragma once

#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/ground/site.h"
#include "engine/reload/signs.h"

struct watch_folder {
    char *path;
    int id;
    bool wanted; /* while the set is changed */
};

struct watch {
    struct signs signs; /* its loop is NULL: not watching */
    const struct log *log;
    struct site_file *files; /* as they were last looked at */
    size_t file_count;
    struct site_file *before; /* between watch_begin and watch_end */
    size_t before_count;
    struct watch_folder *folders;
    size_t folder_count;
    char writing[NAME_MAX + 1]; /* a file that is being written: changed, and not closed since */
    uint64_t writing_us;        /* its last change */
    bool warned;                /* that the system gives no more watches */
    void (*changed)(struct watch *w, uint64_t first_us);
    void *owner;
};

/* changed is called when files have changed and nothing more has happened for a moment; first_us says
 * when that began. 0, or ERR_LIMIT: the system gives no inotify. */
int watch_init(struct watch *w, struct ev_loop *loop, const struct log *log,
               void (*changed)(struct watch *w, uint64_t first_us))
    __attribute__((warn_unused_result));
void watch_deinit(struct watch *w);
/* From now on these files are watched: watch_begin, watch_add for each, watch_end. digest: of what was
 * read from it, "" when there was nothing. The first word about a path counts. */
void watch_begin(struct watch *w);
void watch_add(struct watch *w, const char *path, const char *digest);
/* Between the two: as the set before had it, or else as the file is now; all that the set before had. */
void watch_keep(struct watch *w, const char *path);
void watch_keep_all(struct watch *w);
void watch_end(struct watch *w);
/* Is one of the files being written, as far as can be told? For a second at most after its last change:
 * then what it holds counts. */
bool watch_busy(struct watch *w);
/* What the file holds now is known; a file that is not in the set is added. */
void watch_look(struct watch *w, const char *path);
/* SHA-1 of a file in hexadecimal digits, or "" when it cannot be read. */
void watch_digest(const char *path, char out[SITE_DIGEST_BYTES]);
