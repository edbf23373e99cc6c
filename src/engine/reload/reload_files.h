/* The files that the app is made of. Their names are kept, so that the next attempt can read them before its
 * workers do. Their change, and that of certificates and keys of its listeners, causes a reload, when files
 * are watched. A part of reload.c; the main thread's. */
#pragma once

#include <stdbool.h>

#include "engine/reload/reload.h"

/* What site was made of is watched from now on: it is about to serve, or does. */
void reload_files_serve(struct reload *r, const struct site *site);
/* It does not serve, since it failed: its files are watched beside those of what does. */
void reload_files_refused(struct reload *r, const struct site *site);
/* It serves again. What was taken back, and is on the disk, is not loaded again until it changes. */
void reload_files_taken_back(struct reload *r, const struct site *site);
/* Its certificates are known as they are now. */
void reload_files_look(struct reload *r, const struct site *site);
/* Takes up what reload_late_file has told; forgets it. */
void reload_files_late(struct reload *r);
void reload_files_forget(struct reload *r);
/* Have all workers read the same? They load the app one after the other when the server starts. */
bool reload_files_agree(const struct server *s);
/* The files as far as their names are known, to be read for this attempt; or NULL: there is nothing to
 * read, or no memory. */
struct sources *reload_files_ahead(const struct reload *r, uint32_t number);
/* Are these files not any more what they were when they were read? site may be NULL. Also without
 * watching. */
bool reload_files_outdated(const struct site *site);
