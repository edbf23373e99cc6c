/* Where control sockets are: each server has a file PID.sock in a folder that only its user can
 * enter.
 *
 * The folder is the first that can be used of $RUNTIME_DIRECTORY (a systemd service uses only
 * that), $XDG_RUNTIME_DIR (XDG Base Directory Specification), /run for the superuser, and /tmp.
 * Everybody can write to /tmp, and variables may be left over from another user, so a folder counts
 * only if it is no link, belongs to this user, is closed to others, and nobody else can rename
 * it. */
#pragma once

#include <stddef.h>

enum {
    CONTROL_PATH_BYTES = 108, /* the size of sun_path (unix(7)) */
    CONTROL_PATH_WHY_BYTES = 256
};

/* Writes the path for the server of this process and makes the folder. 0; or, with one line in why,
 * ERR_NOT_FOUND: no path is short enough, or ERR_IO: no folder can be used. */
int control_place(char out[CONTROL_PATH_BYTES], char why[CONTROL_PATH_WHY_BYTES])
    __attribute__((warn_unused_result));

/* Writes the paths of all sockets of this user's servers to out, each with its NUL, also those of
 * servers that have died. Returns the bytes, or ERR_TOO_BIG when they do not fit. */
long control_find(char *out, size_t size) __attribute__((warn_unused_result));

/* Writes the paths of other users' running servers, as far as these use the usual folders; none
 * unless the superuser asks. Returns as control_find does. The paths are only to be shown: a socket
 * that carries the number of a process need not be a moonwire's, and its answers are up to that
 * user. */
long control_find_others(char *out, size_t size) __attribute__((warn_unused_result));
