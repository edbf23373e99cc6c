/* Have any of a set of files changed? Watches the files themselves, since they may have other names
 * by which they are written, and each folder on the way to them, since names and links there may
 * lead elsewhere. Where the system does not tell of all changes it also looks every two seconds.
 * Compares contents, so that a file that was only touched does not count. The main thread's. */
#pragma once

#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/ground/site.h"
#include "engine/reload/mounts.h"
#include "engine/reload/signs.h"
#include "engine/reload/start_folder.h"

/* A folder, or a file, that inotify tells of. */
struct watch_place {
    char *path;
    int id;
    uint32_t mask;
    bool wanted; /* scratch, while the places are chosen */
};

struct watch {
    struct signs signs; /* its loop is NULL: not watching */
    struct mounts mounts;
    const struct log *log;
    struct site_file *files; /* with the digests of the last look */
    size_t file_count;
    struct site_file *before; /* between watch_begin and watch_end */
    size_t before_count;
    struct watch_place *places;
    size_t place_count;
    char **names; /* that lead to the files, and theirs */
    size_t name_count;
    struct start_folder *start; /* where relative paths begin */
    bool blind;                 /* the system does not tell of all changes */
    ev_timer look;              /* runs while blind */
    char writing[NAME_MAX + 1]; /* a file that was changed and not closed since; "": none */
    uint64_t writing_us;        /* when it last changed */
    bool warned;                /* the log has said that the system gives no more watches */
    void (*changed)(struct watch *w, uint64_t first_us);
    void *owner;
};

/* changed is called when files have changed and nothing more has happened for a moment; first_us
 * says when that began. start: the process's folder follows it before files are compared; must
 * outlive w. 0, or ERR_LIMIT: the system gives no inotify. */
int watch_init(struct watch *w, struct ev_loop *loop, const struct log *log,
               struct start_folder *start, void (*changed)(struct watch *w, uint64_t first_us))
    __attribute__((warn_unused_result));
void watch_deinit(struct watch *w);
/* A new set of files is made by watch_begin, watch_add or watch_keep for each file, and watch_end.
 * digest: of what was read from the file, "" when there was none. Only the first call for a path
 * counts. Without watch_begin, watch_add and watch_end add to the set. */
void watch_begin(struct watch *w);
void watch_add(struct watch *w, const char *path, const char *digest);
/* Adds the file with the digest that the set before has, or else with that of its contents now. */
void watch_keep(struct watch *w, const char *path);
/* Adds all files of the set before, with their digests. */
void watch_keep_all(struct watch *w);
void watch_end(struct watch *w);
/* Is one of the files being written, as far as can be told? At most for a second after its last
 * change: then its contents count. */
bool watch_busy(struct watch *w);
/* Takes the file's contents now as known; adds it to the set if need be. */
void watch_look(struct watch *w, const char *path);
/* Writes the SHA-1 of a file in hexadecimal digits, or "" when it cannot be read. */
void watch_digest(const char *path, char out[SITE_DIGEST_BYTES]);
