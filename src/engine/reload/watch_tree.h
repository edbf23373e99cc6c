/* Did anything change in these folders, or below? For the pages of mw.static, where it does not
 * matter which file changed, and new files count too. Links are not followed. The main thread's. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "engine/reload/signs.h"

struct tree_folder {
    int id; /* of its watch */
    char *path;
};

struct tree_root {
    char *path;
    dev_t device; /* of the folder that had this name when it was watched */
    ino_t inode;
};

struct watch_tree {
    struct signs signs; /* its loop is NULL: nothing is watched */
    struct ev_loop *loop;
    const struct log *log;
    struct tree_root *roots;
    size_t root_count;
    struct tree_folder *folders;
    size_t folder_count;
    uint32_t most;    /* folders that may be watched */
    ev_timer look;    /* looks for roots that are gone */
    bool warned;      /* the log has said that not all are watched */
    bool styles_only; /* all that changed lately is CSS */
    void (*changed)(struct watch_tree *t, bool styles_only);
    void (*returned)(struct watch_tree *t); /* may be NULL; set it after watch_tree_init */
    void *owner;
};

/* changed is called when files have changed, come or gone, and nothing more has happened for a
 * moment; styles_only: they are all style sheets. These do not count: hidden files (mw.static does
 * not serve them), those that editors keep for a while (x~, #x#, x.swp, x.tmp, x.bak), Lua files
 * (the app's) and files in node_modules.
 *
 * returned is called when a folder was removed or moved away and another of that name is there. Its
 * files are watched again, but whoever holds the old folder open does not see them. */
void watch_tree_init(struct watch_tree *t, struct ev_loop *loop, const struct log *log,
                     void (*changed)(struct watch_tree *t, bool styles_only));
/* Watches these folders from now on, and no others, with new folders in them as they come. Folders
 * beyond most, and those that the system does not let us watch, are logged once. */
void watch_tree_set(struct watch_tree *t, const char *const *roots, size_t count, uint32_t most);
void watch_tree_deinit(struct watch_tree *t);
