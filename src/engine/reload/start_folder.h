/* The folder in which the process was started, by the name that the user knows it by. A link in
 * that name may lead elsewhere later (current -> releases/2), and relative names then follow it. */
#pragma once

#include <limits.h>
#include <sys/types.h>

struct start_folder {
    char path[PATH_MAX]; /* absolute; "": not known, and nothing is followed */
    dev_t device;        /* of what the process's folder was last */
    ino_t inode;
};

/* Takes the name from the environment (PWD), if it leads to the process's folder; else the one that
 * the system gives, in which there are no links. */
void start_folder_init(struct start_folder *f);
/* Makes what the name leads to now the process's folder, for all its threads; not if somebody else
 * has changed that since. */
void start_folder_follow(struct start_folder *f);
