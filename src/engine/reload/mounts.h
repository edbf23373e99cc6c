/* Has anything been mounted, or unmounted? inotify does not tell of what lies over a file or folder
 * since then. For the thread of the loop. */
#pragma once

#include <ev.h>

struct mounts {
    struct ev_loop *loop; /* NULL: not watching */
    int table;            /* /proc/self/mountinfo */
    int poll;
    ev_io io;
    void (*changed)(void *owner);
    void *owner;
};

/* changed is called after each change of the process's mounts. Without /proc, or descriptors, it
 * never is. */
void mounts_init(struct mounts *m, struct ev_loop *loop, void (*changed)(void *owner), void *owner);
/* Does nothing when m is not watching. */
void mounts_deinit(struct mounts *m);
