/* The functions by which a command such as moonwire status asks the servers that run
 * (lua/moonwire/commands/control.lua). They wait, and so are not for a server. */
#pragma once

#include <stddef.h>

/* Writes the paths of the control sockets of this user's servers to out, each with its NUL. Returns
 * the bytes written, or ERR_TOO_BIG. */
long mw_control_find(char *out, size_t size);
/* Writes those of other users' servers, which only the superuser sees: they may be shown to people,
 * but what they say is not to be trusted. */
long mw_control_find_others(char *out, size_t size);
/* Connects to the server at path and sends it one request. found: not 0 if the path comes from
 * mw_control_find, so that a socket that a dead server has left there may be removed. Returns a
 * descriptor for mw_control_read; or an error with one line in why, which has 256 bytes:
 * ERR_NOT_FOUND when no server is there. */
int mw_control_ask(const char *path, const char *request, int found, char *why);
/* Reads more of the answer. Returns the bytes read, 0 at the answer's end; ERR_AGAIN: nothing came
 * in this time; ERR_IO. */
long mw_control_read(int fd, char *out, size_t size, double seconds);
/* Closes the descriptor of mw_control_ask. */
void mw_control_done(int fd);
