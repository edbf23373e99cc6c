/* Which folders an app may serve: none that holds what the app is made of, or a private key. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "engine/ground/site.h"

/* Is it a file of the app's, or the key of a listener, that site_check_folder found at its path?
 * By another name (a hard link, a mount) it may lie in a folder all the same. */
bool site_is_private(const struct site *s, const struct stat *file);

/* Checks the folder of a route, once files and listeners are declared. Returns 0, or ERR_INVALID
 * with one line in s->error: the folder, or one below it, holds a file of the app's or the key of a
 * certificate. Files are found where they really are, through links. */
int site_check_folder(struct site *s, int route) __attribute__((warn_unused_result));
