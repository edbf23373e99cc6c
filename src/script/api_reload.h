/* The functions by which Lua takes part in a reload, and in the dev overlay of watch mode, which
 * shows its result in the browser. script/api.h includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site;
struct worker;

/* ---- generations ----------------------------------------------------------------------------- */

/* Asks for a reload of the app, which begins soon. */
void mw_reload(struct worker *w);
/* Asks for a rollback: the generation before the present one shall serve again, soon. */
void mw_rollback(struct worker *w);
/* The number of the generation that serves, from 1. */
int mw_generation(struct worker *w);
/* The generation in which a connection was opened, or ERR_CLOSED. */
int mw_opened_in(struct worker *w, double conn);
/* Walks over the server's open WebSockets by their slots. Returns the handle of the first one from
 * *slot on, moves *slot behind it and sets *generation to the one in which it was opened. Returns 0
 * when there are no more. */
double mw_next_open(struct worker *w, uint32_t *slot, uint32_t *generation);
/* After a commit. Returns the index that route i of the site that serves had in the site before, if
 * it is a retired route: one that is kept only for what was under way on it. ERR_INVALID: the app
 * declares the route; ERR_NOT_FOUND: i is behind the last route. */
int mw_route_was(struct worker *w, uint32_t i);

/* ---- while the app is prepared --------------------------------------------------------------- */

/* Returns the text of the file at path as it was read ahead for this reload, and sets *len; valid
 * until the preparation ends. NULL: it was not read ahead. */
const char *mw_source_text(struct worker *w, const char *path, size_t *len);

/* ---- during the commit ----------------------------------------------------------------------- */

/* Returns why the generation that has served until now is taken back, valid for this commit; NULL:
 * it is not taken back but replaced by a newer one. */
const char *mw_taken_back(struct worker *w);
/* Has the generation that has served until now failed its probation? Then nobody goes back to it:
 * the one before it is kept in its place. */
bool mw_failed_probation(struct worker *w);

/* ---- after it -------------------------------------------------------------------------------- */

/* Enclose a slice of the search through connections that follows a commit. */
void mw_search_begin(struct worker *w);
void mw_search_end(struct worker *w);
/* Has the slice lasted as long as a slice may? */
bool mw_search_is_over(struct worker *w);

struct reload_pauses {
    double longest_ms;
    double longest_cpu_ms;
    double commit_ms;
    double commit_cpu_ms;
};
/* Fills out with the times for which the reload that brought the present generation has held up
 * this worker's events. During a commit these are still those of the reload before. Returns the
 * work that the longest pause was spent on ("prepare", "commit" …), or NULL: nothing was reloaded
 * yet. */
const char *mw_pauses(struct worker *w, struct reload_pauses *out);

/* ---- the dev overlay ------------------------------------------------------------------------- */

/* The path of its script, or of its WebSocket when script is 0. */
const char *mw_overlay_path(int script);
/* Returns 1 if pages of this site shall have it: in watch mode, when the site serves a folder; else
 * 0. */
int mw_overlay_wanted(struct worker *w, const struct site *s);
/* The connection is of a page, and gets the messages for pages from now on. */
void mw_overlay_join(struct worker *w, double conn);
/* Tells the pages about a hook that failed. */
void mw_overlay_fault(struct worker *w, const char *text, size_t len);
