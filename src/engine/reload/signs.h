/* Listens to what inotify tells of files, and waits until they have come to rest. watch.c and
 * watch_tree.c say which signs count. For the thread of the loop. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

enum {
    SIGNS_LONGEST_US = 1000000 /* then files that do not come to rest are looked at all the same */
};

struct signs {
    struct ev_loop *loop; /* NULL: not open */
    int fd;               /* of inotify, for inotify_add_watch */
    ev_io io;
    ev_timer settle;
    double settle_seconds;
    uint64_t first_us; /* when signs_arm was first called since they rested */
    void (*sign)(struct signs *s, const struct inotify_event *e);
    void (*settled)(struct signs *s);
    void *owner;
};

/* sign is called for each event; settled when signs_arm was called and settle_seconds have passed.
 * 0, or ERR_LIMIT: the system gives no inotify. */
int signs_init(struct signs *s, struct ev_loop *loop, double settle_seconds,
               void (*sign)(struct signs *s, const struct inotify_event *e),
               void (*settled)(struct signs *s)) __attribute__((warn_unused_result));
/* Ends all watches. Does nothing when s is not open. */
void signs_deinit(struct signs *s);
/* Reads the events that are there, and calls sign for each. */
void signs_read(struct signs *s);
/* Has settled called in a moment. again: waits anew if it is due already, for SIGNS_LONGEST_US at
 * most. */
void signs_arm(struct signs *s, bool again);
/* Is settled due? */
bool signs_armed(const struct signs *s);
/* After IN_CREATE: is the file only begun, so that IN_CLOSE_WRITE will follow? A link is whole at
 * once. */
bool signs_begun(const char *folder, const char *name);
