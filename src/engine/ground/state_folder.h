/* Where a server keeps what it makes for itself: the development certificate. */
#pragma once

#include <stddef.h>

enum { STATE_FOLDER_BYTES = 3072, STATE_FOLDER_WHY_BYTES = 256 };

/* $XDG_STATE_HOME/moonwire, or ~/.local/state/moonwire (XDG Base Directory Specification); for a
 * user whose home cannot be written, a folder in /tmp that nobody else can read. Makes what is
 * missing, 0700. 0, or a negative enum error with one line in why. */
int state_folder(char out[STATE_FOLDER_BYTES], char why[STATE_FOLDER_WHY_BYTES])
    __attribute__((warn_unused_result));
