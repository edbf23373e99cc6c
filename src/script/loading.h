/* The app in the script of a worker: loading it at the start, and again for a reload.
 *
 * Functions that take the script as void * are those of struct script_ops in
 * engine/worker/worker.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reload_facts;
struct script;
struct site;

/* An app as the command line names it. */
struct script_source {
    const char *path; /* the file, or "-" for standard input; a name for people if there is code */
    const char *code; /* the program itself; NULL: it is in the file */
    int argc;         /* the app's arguments, which it sees as ... and as arg */
    char **argv;
    bool listens; /* the command line names listeners: the app is a server */
};

/* Runs the app's top level and declares in the site what it asks for. Returns 0, or ERR_INVALID
 * with one line in why that names file and line; the traceback is logged at debug level. To be
 * called once. The app may end the process in it (server_exit). */
int script_load(struct script *s, const struct script_source *source, struct site *site, char *why,
                size_t why_len) __attribute__((warn_unused_result));

/* ---- reloads --------------------------------------------------------------------------------- */

/* Runs the top level of the app once more, for a site that may take the place of the one that
 * serves. It has no effect before script_commit, and none after script_abandon. Returns 0, or a
 * negative error as from script_load, and all is abandoned. A top level that does not end is
 * stopped, after limits.hook_ms or limits.reload_seconds of the site that serves. why may have an
 * excerpt of the source on lines of its own. */
int script_prepare(struct script *s, const struct script_source *source, struct site *site,
                   char *why, size_t why_len) __attribute__((warn_unused_result));
/* Declares in the site what the generation before the present one had declared, so that it can
 * serve again. None of the app's code runs. Returns what script_prepare returns, and script_commit
 * or script_abandon follows in the same way. */
int script_restore(struct script *s, struct site *site, char *why, size_t why_len)
    __attribute__((warn_unused_result));
/* What was prepared or restored serves from now on. A failure is logged. The facts are borrowed for
 * the call. */
void script_commit(void *script, const struct reload_facts *facts);
/* The facts of the commit that runs; NULL: none runs. */
const struct reload_facts *script_facts(const void *script);
/* Forgets what was prepared or restored, if anything was. */
void script_abandon(void *script);
/* Collects at most a slice of the garbage that loading the app has left. Returns false when nothing
 * is left. */
bool script_tidy(void *script);
