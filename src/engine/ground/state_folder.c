/* The folder for what moonwire keeps between its runs, as the XDG base directories have it. */
#include "engine/ground/state_folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* mkdir -p with 0700, as the specification asks. */
static int make_all(char *path)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        int failed = mkdir(path, 0700) && errno != EEXIST;
        *at = end;
        if (failed)
            return ERR_IO;
        if (end == '\0')
            return 0;
    }
}

/* The specification: a path that is not absolute is to be ignored. */
static bool in_home(char out[STATE_FOLDER_BYTES])
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(out, STATE_FOLDER_BYTES, "%s/moonwire", state);
    else if (home && home[0] == '/' && access(home, W_OK) == 0)
        n = snprintf(out, STATE_FOLDER_BYTES, "%s/.local/state/moonwire", home);
    else
        return false;
    return n < STATE_FOLDER_BYTES;
}

/* /tmp is everybody's: a folder that somebody else made first is not ours. */
static bool is_private(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 077) == 0;
}

int state_folder(char out[STATE_FOLDER_BYTES], char why[STATE_FOLDER_WHY_BYTES])
{
    bool home = in_home(out);
    if (!home)
        snprintf(out, STATE_FOLDER_BYTES, "/tmp/moonwire-%lu", (unsigned long)geteuid());
    if (make_all(out)) {
        snprintf(why, STATE_FOLDER_WHY_BYTES,
                 "cannot make the folder %.150s: %s; set XDG_STATE_HOME to one that can be written",
                 out, strerror(errno));
        return ERR_IO;
    }
    if (!home && !is_private(out)) {
        snprintf(why, STATE_FOLDER_WHY_BYTES,
                 "%.100s is not a private folder of this user; remove it, or set XDG_STATE_HOME",
                 out);
        return ERR_IO;
    }
    return 0;
}
