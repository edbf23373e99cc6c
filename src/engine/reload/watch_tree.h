/* Did anything change in folders, or below? For the pages of mw.static, where it does not matter which
 * file it was, and new ones count too. Links are not followed. The main thread's. */
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
    uint32_t most;    /* folders */
    ev_timer look;    /* for those of the roots that are gone */
    bool warned;      /* that not all are watched */
    bool styles_only; /* all that changed lately is CSS */
    void (*changed)(struct watch_tree *t, bool styles_only);
    void (*returned)(struct watch_tree *t); /* NULL, or set after watch_tree_init */
    void *owner;
};

/* returned is called when one of the folders was removed, or moved away, and another of that name is
 * there: its files are watched again, but who holds the old one open does not see them.
 * changed is called when files have changed, come or gone, and nothing more has happened for a moment;
 * styles_only: they are all style sheets. Not counted are hidden files (mw.static does not serve them),
 * those that editors keep for a while (x~, #x#, x.swp, x.tmp, x.bak), Lua files (which are the app's)
 * and what is in node_modules. */
void watch_tree_init(struct watch_tree *t, struct ev_loop *loop, const struct log *log,
                     void (*changed)(struct watch_tree *t, bool styles_only));
/* From now on these folders are watched, and no others; new folders in them as they come. Folders past
 * the first most, and what the system does not let us watch, are logged once. */
void watch_tree_set(struct watch_tree *t, const char *const *roots, size_t count, uint32_t most);
void watch_tree_deinit(struct watch_tree *t);
