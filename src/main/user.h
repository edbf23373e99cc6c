/* The user that the process becomes (--user), once what only the superuser may do is done. */
#pragma once

#include <sys/types.h>

enum { USER_WHY_BYTES = 256 };

struct user {
    const char *name; /* as the command line has it, borrowed; NULL: the process stays what it is */
    uid_t uid;
    gid_t gid;
    char *login; /* the user's name and home */
    char *home;
};

/* Finds the user of a name, or of a number that the system knows. 0; or a negative enum error with
 * one line in why: ERR_NOT_FOUND: there is no such user; ERR_INVALID: it is the superuser; ERR_IO:
 * this process may not become it. name NULL: nobody is to be found. */
int user_find(struct user *u, const char *name, char why[USER_WHY_BYTES])
    __attribute__((warn_unused_result));
/* Takes on all its ids and groups, for good, and its HOME, USER and LOGNAME. Does nothing without a
 * name, and nothing but that when the process is this user already. 0, or ERR_IO with one line in
 * why: then the process must end. */
int user_become(const struct user *u, char why[USER_WHY_BYTES]) __attribute__((warn_unused_result));
void user_deinit(struct user *u);
