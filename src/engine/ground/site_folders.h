/* Which folders an app may serve: none that holds what the app is made of, or a private key. */
#pragma once

#include "engine/ground/site.h"

/* Checks the folder of a route, once files and listeners are declared. Returns 0, or ERR_INVALID
 * with one line in s->error: the folder, or one below it, holds a file of the app's or the key of a
 * certificate. Files are found where they really are, through links. */
int site_check_folder(struct site *s, int route) __attribute__((warn_unused_result));
