/* The script of one worker: its lua_State, with the modules that are inside the binary, and the way
 * from a batch of events into Lua. Only src/script includes lua.h. */
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

/* A new state that speaks for the worker (whose loop must exist: timers are started in it). 0 with
 * *out; ERR_MEMORY or ERR_INVALID with one line in why. */
int script_new(struct script **out, struct worker *w, const struct log *log,
               char why[SCRIPT_WHY_BYTES]) __attribute__((warn_unused_result));

/* An app as the command line names it. */
struct script_source {
    const char *path; /* the file; "-": standard input */
    const char *code; /* the program itself, in place of a file; or NULL */
    int argc;         /* what follows: the app sees it as ... and as arg */
    char **argv;
};

/* Runs the app's top level and hands what it declares to the site. 0, or ERR_INVALID with one line in
 * why that names file and line; the traceback is logged at debug level. To be called once. The app may
 * have ended the process in it (server_exit). */
int script_load(struct script *s, const struct script_source *source, struct site *site, char *why,
                size_t why_len) __attribute__((warn_unused_result));

/* The app once more, for a site that may take the place of the one that serves: as script_load, but it
 * has no effect until script_commit; script_abandon forgets it. A top level that lasts longer than
 * seconds is ended. why also has an excerpt of the source, on lines of its own. */
int script_prepare(struct script *s, const struct script_source *source, struct site *site,
                   uint32_t seconds, char *why, size_t why_len);
/* The generation that served before the one that serves declares what it had declared, for a site that
 * may take its place again; none of the app's code runs. The rest is as after script_prepare. */
int script_restore(struct script *s, struct site *site, char *why, size_t why_len);
/* ops->commit and ops->abandon, with the script as their argument. */
void script_commit(void *script, const struct reload_facts *facts);
void script_abandon(void *script);
/* What the commit that runs was told; NULL: none runs. */
const struct reload_facts *script_facts(const void *script);
/* ops->tidy, with the script as its argument. */
bool script_tidy(void *script);

/* Delivers the worker's batch: ops->dispatch, with the script as its argument. An error of a hook is
 * dealt with in Lua; one of the dispatcher itself is logged. */
void script_dispatch(void *script);

/* Around the making of a string of a message that lies in a block of its own (struct event): it may take that
 * block, so data is valid between the two only. */
void script_string_begin(void *script, const char *data, size_t len);
void script_string_end(void *script);

/* ops->describe (engine/control/control.h), with the script as its argument. */
int script_describe(void *script, struct buffer *out);

/* ops->pending: tasks that wait, when the worker has nothing pending. It may end the process with
 * another status than 0. */
uint32_t script_pending(void *script);

/* NULL is allowed. */
void script_free(struct script *s);
