/* The script of one worker: its lua_State, with the modules that are inside the binary, and the way
 * of a batch of events into Lua. Only src/script includes lua.h.
 *
 * Functions that take the script as void * are those of struct script_ops in
 * engine/worker/worker.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct buffer;
struct reload_facts;
struct script;
struct site;
struct worker;

enum { SCRIPT_WHY_BYTES = 512 };

/* Makes a state for the worker, whose loop must exist, since timers are started in it. Returns 0
 * with *out; ERR_MEMORY or ERR_INVALID with one line in why, and *out is as it was. */
int script_new(struct script **out, struct worker *w, const struct log *log,
               char why[SCRIPT_WHY_BYTES]) __attribute__((warn_unused_result));

/* An app as the command line names it. */
struct script_source {
    const char *path; /* the file, or "-" for standard input; a name for people if there is code */
    const char *code; /* the program itself; NULL: it is in the file */
    int argc;         /* the app's arguments, which it sees as ... and as arg */
    char **argv;
};

/* Runs the app's top level and declares in the site what it asks for. Returns 0, or ERR_INVALID
 * with one line in why that names file and line; the traceback is logged at debug level. To be
 * called once. The app may end the process in it (server_exit). */
int script_load(struct script *s, const struct script_source *source, struct site *site, char *why,
                size_t why_len) __attribute__((warn_unused_result));

/* ---- reloads --------------------------------------------------------------------------------- */

/* Runs the top level of the app once more, for a site that may take the place of the one that
 * serves. It has no effect before script_commit, and none after script_abandon. Returns 0, or a
 * negative error, and all is abandoned: ERR_INVALID as from script_load; ERR_LIMIT: the top level
 * was stopped because it had not ended after this many seconds. why has one line, and may have an
 * excerpt of the source on lines of its own. */
int script_prepare(struct script *s, const struct script_source *source, struct site *site,
                   uint32_t seconds, char *why, size_t why_len) __attribute__((warn_unused_result));
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

/* ---- events and questions -------------------------------------------------------------------- */

/* Delivers the events of the worker's batch, which has at least one. An error of a hook is dealt
 * with in Lua; one of the dispatcher itself is logged. */
void script_dispatch(void *script);

/* Before and after the string of a message that lies in a block of its own is made (struct event).
 * The string may take that block, so data is valid between the two only. */
void script_string_begin(void *script, const char *data, size_t len);
void script_string_end(void *script);

/* Appends what the script knows of its generations to out, as JSON for the control socket. Returns
 * 0, ERR_MEMORY, or ERR_INVALID: it does not know, which is logged. */
int script_describe(void *script, struct buffer *out) __attribute__((warn_unused_result));

/* Returns the number of tasks that wait. To be asked when the worker itself has nothing pending;
 * the script may then end the process with a status other than 0. */
uint32_t script_pending(void *script);

/* s may be NULL. */
void script_free(struct script *s);
