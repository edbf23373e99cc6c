/* What Lua may ask of servers that run, as script/api.h: for commands such as moonwire status, which
 * lua/moonwire/control.lua is. control_place.h and control_ask.h in engine/control. These wait. */
#pragma once

#include <stddef.h>

/* The paths of this user's control sockets, each with its NUL. Bytes; ERR_TOO_BIG. */
long mw_control_find(char *out, size_t size);
/* Of other users' servers, for the superuser, to be shown. */
long mw_control_find_others(char *out, size_t size);
/* Sends one request. found: the path is of mw_control_find. A descriptor; or an error, with one line in
 * why, of 256 bytes: ERR_NOT_FOUND when no server is there. */
int mw_control_ask(const char *path, const char *request, int found, char *why);
/* Bytes of the answer, 0 at its end; ERR_AGAIN: none for so many seconds; ERR_IO. */
long mw_control_read(int fd, char *out, size_t size, double seconds);
void mw_control_done(int fd);
