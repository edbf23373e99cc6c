/* Where control sockets are: a folder that only this user can enter, a file PID.sock for each server.
 *
 * $RUNTIME_DIRECTORY (of a systemd service, which has that and nothing else), $XDG_RUNTIME_DIR (XDG Base
 * Directory Specification), /run of the superuser, or /tmp: the first that can be used. Everybody can
 * write to /tmp, and variables may be left over from another user, so a folder counts only if it is a
 * real one, this user's, with no access for others, and nobody else can rename it. */
#pragma once

#include <stddef.h>

enum {
    CONTROL_PATH_BYTES = 108, /* of sun_path, with the NUL (unix(7)) */
    CONTROL_PATH_WHY_BYTES = 256
};

/* The path for the server of this process; makes the folder. 0, or a negative enum error with one line
 * in why. */
int control_place(char out[CONTROL_PATH_BYTES], char why[CONTROL_PATH_WHY_BYTES])
    __attribute__((warn_unused_result));

/* Appends to out the paths of all sockets of this user's servers, each with its NUL, also of servers
 * that have died. Returns the bytes, ERR_TOO_BIG when they do not fit. */
long control_find(char *out, size_t size) __attribute__((warn_unused_result));

/* The same of other users' servers that run, in the places where these open theirs; 0 bytes but for the
 * superuser. Only to be shown: that a user has a process and a socket with its number does not say that
 * it is a moonwire, and what it answers is that user's to choose. */
long control_find_others(char *out, size_t size) __attribute__((warn_unused_result));
