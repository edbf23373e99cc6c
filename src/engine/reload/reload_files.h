/* The files that an app is made of, and the certificates of its listeners. The names of the files
 * are remembered, so that the next attempt can read them before its workers do; and when files are
 * watched, their change causes a reload. The main thread's, but for reload_files_add_late. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/ground/site.h"
#include "engine/reload/sources.h"
#include "engine/reload/watch.h"

struct reload_files {
    bool watching;
    struct watch watch;
    struct start_folder start; /* where relative names begin */
    char **names;              /* of the files that the app was last made of */
    size_t name_count;
    pthread_mutex_t lock;
    struct {
        struct site_file *late; /* files that hooks have required since the last look */
        size_t late_count;
    } locked;
};

void reload_files_init(struct reload_files *f);
void reload_files_deinit(struct reload_files *f);
/* Begins to watch. changed as in watch_init; owner is the watch's. 0, or ERR_LIMIT: the system
 * gives no inotify. */
int reload_files_watch(struct reload_files *f, struct ev_loop *loop, const struct log *log,
                       void (*changed)(struct watch *w, uint64_t first_us), void *owner)
    __attribute__((warn_unused_result));

/* ---- which files count ----
 * certificates: those of the site's listeners too. */

/* The site is about to serve, or does: its files replace those before. */
void reload_files_serve(struct reload_files *f, const struct site *site, bool certificates);
/* The site failed and does not serve: its files are watched beside those of what does. */
void reload_files_refused(struct reload_files *f, const struct site *site);
/* The site serves again. The code that was taken back is still on the disk, and is not loaded again
 * until it changes. */
void reload_files_taken_back(struct reload_files *f, const struct site *site, bool certificates);
/* The certificates are about to be read: only a later change of them counts. */
void reload_files_look(struct reload_files *f, const struct site *site);
/* From any thread: the app that serves is made of this file too. Returns true when that is new;
 * reload_files_take_late is due then. */
bool reload_files_add_late(struct reload_files *f, const char *path, const char *digest);
/* Watches the late files, too, if files are watched. */
void reload_files_take_late(struct reload_files *f);

/* ---- reading them ---- */

/* Relative names begin where the name of the start folder leads now. To be called before files are
 * read for a reload. */
void reload_files_follow(struct reload_files *f);
/* A set of all files whose names are known, to be read for the attempt of this number; NULL: there
 * is none, or no memory. */
struct sources *reload_files_ahead(const struct reload_files *f, uint32_t number);
/* Is one of the files being written? False when they are not watched. */
bool reload_files_busy(struct reload_files *f);
/* Have both sites read the same? A file that only one of them has is no contradiction. */
bool reload_files_agree(const struct site *a, const struct site *b);
/* Has a file of the site changed since it was read? Also when files are not watched. site may be
 * NULL. */
bool reload_files_outdated(const struct site *site);
