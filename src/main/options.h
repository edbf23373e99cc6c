/* The command line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/ground/site.h"

enum { OPTIONS_WHY_BYTES = 512 };

enum options_action { OPTIONS_SERVE, OPTIONS_CHECK, OPTIONS_HELP, OPTIONS_VERSION };

enum options_choice { OPTIONS_AUTO, OPTIONS_ON, OPTIONS_OFF };

struct options {
    enum options_action action;
    /* Borrowed from argv, like all texts in here but the listeners' hosts. */
    const char *app;  /* the file, "-" for standard input, "-e", or the name of a command */
    const char *code; /* the program itself, of -e or of a command; NULL: it is in the file */
    char **arguments; /* the app's own arguments, NULL-terminated */
    int argument_count;
    struct site_listener *listeners; /* --listen: used in place of the app's; without TLS */
    size_t listener_count;
    uint32_t workers;
    enum log_level log_level;
    bool log_json;
    enum options_choice watch; /* OPTIONS_AUTO: when standard output is a terminal */
    bool overlay_for_all;      /* not for this machine only */
    const char *user;          /* to become when the listeners are open; NULL: nobody else */
    const char *control;       /* the control socket's path, or "none"; NULL: the usual place */
};

/* Reads the command line: moonwire [run] APP [arguments] or moonwire -e CODE [arguments], with
 * moonwire's options anywhere before "--"; everything behind "--" belongs to the app.
 *
 * Returns 0, and options_deinit is due; or ERR_INVALID or ERR_MEMORY with one line in why that says
 * what to write instead, and nothing is to be freed; o->log_json then says how that is written. */
int options_parse(struct options *o, int argc, char **argv, char why[OPTIONS_WHY_BYTES])
    __attribute__((warn_unused_result));
void options_deinit(struct options *o);

/* The text that --help prints: one screen. */
extern const char options_help[];
