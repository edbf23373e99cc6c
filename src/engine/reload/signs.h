/* What inotify tells of files, and the wait until they have come to rest. watch.c and watch_tree.c say
 * which signs count. The thread of the loop. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

enum {
    SIGNS_LONGEST_US = 1000000 /* files that never come to rest are looked at all the same */
};

struct signs {
    struct ev_loop *loop; /* NULL: not open */
    int fd;               /* of inotify, for inotify_add_watch */
    ev_io io;
    ev_timer settle;
    double settle_seconds;
    uint64_t first_us; /* of the first signs_arm since they rested */
    void (*sign)(struct signs *s, const struct inotify_event *e);
    void (*settled)(struct signs *s);
    void *owner;
};

/* sign is called for each event; settled when signs_arm was called and settle_seconds have passed. 0,
 * or ERR_LIMIT: the system gives no inotify. */
int signs_init(struct signs *s, struct ev_loop *loop, double settle_seconds,
               void (*sign)(struct signs *s, const struct inotify_event *e),
               void (*settled)(struct signs *s)) __attribute__((warn_unused_result));
/* Allowed also when it is not open. Watches that are left end with it. */
void signs_deinit(struct signs *s);
/* Takes what the system has not told yet. */
void signs_read(struct signs *s);
/* settled is due. again: begin to wait anew, for SIGNS_LONGEST_US in all at most. */
void signs_arm(struct signs *s, bool again);
/* Is settled due? */
bool signs_armed(const struct signs *s);
/* Of IN_CREATE: the file is only begun, and IN_CLOSE_WRITE will tell of its end. A link is whole at
 * once. */
bool signs_begun(const char *folder, const char *name);
