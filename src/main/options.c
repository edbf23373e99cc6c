/* Reads the command line, and says what to write instead of what it does not understand. */
#include "main/options.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/suggest.h"
#include "engine/server/server.h"
#include "main/meant.h"

const char options_help[] =
    "moonwire - a real-time WebSocket and HTTP server that runs your Lua\n"
    "\n"
    "  moonwire [run] APP.lua [options] [arguments of the app]\n"
    "  moonwire reload [PID]   a server that runs loads its app again\n"
    "  moonwire rollback [PID] brings back the code before its last reload\n"
    "  moonwire status [PID]   what a server runs, and how it is (status --help)\n"
    "  moonwire connect URL    sends lines, prints messages (connect --help)\n"
    "  moonwire repl           Lua at a prompt, with WebSockets\n"
    "\n"
    "  -e CODE             run this Lua, not a file; APP.lua may be - (stdin).\n"
    "                      Without listeners it ends when nothing is pending\n"
    "  --listen ADDRESS    listen here, not where the app says; may be repeated:\n"
    "                      8080 or localhost:8080 (this machine only), *:8080 (every\n"
    "                      address), HOST:PORT, [IPV6]:PORT, unix:/path\n"
    "  --workers N|auto    threads, each with a Lua state (auto: one per processor)\n"
    "  --watch, --no-watch\n"
    "                      load the app again when its files change, and keep every\n"
    "                      connection (default: when standard output is a terminal)\n"
    "  --overlay all       show failures in watched pages on other machines, too\n"
    "  --user NAME         as root: become NAME when the listeners are open\n"
    "  --control PATH      the socket for reload and status, not in the runtime\n"
    "                      directory; none: without\n"
    "  --log-level LEVEL   debug, info (default), warn, error or off\n"
    "  --log-format FORM   text (default) or json\n"
    "  --check             load the app, print routes and listeners, serve nothing\n"
    "  --version, -V       moonwire's version and those of its libraries\n"
    "  --help, -h          this text\n"
    "  --                  what follows belongs to the app\n"
    "\n"
    "SIGHUP loads the app again, as reload does, with all connections open.\n"
    "SIGTERM and Ctrl-C close all connections within a few seconds (1001, going away)\n"
    "and end the server; a second one ends it at once.\n"
    "\n"
    "A first app, hello.lua:\n"
    "\n"
    "  local mw = require \"moonwire\"\n"
    "  local echo = mw.ws \"/echo\"\n"
    "  function echo.on_message(ws, data, is_binary) ws:send(data, is_binary) end\n"
    "  mw.get(\"/\", function(req) return \"hello\" end)\n"
    "  mw.listen { port = 8080 }\n";

static int fail(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, OPTIONS_WHY_BYTES, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Takes decimal digits only, and values up to max. */
static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;
    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > max)
            return false;
    }
    *out = (uint32_t)n;
    return true;
}

/* Splits "HOST:PORT" at the last colon; an IPv6 address stands in brackets, since it has colons of
 * its own (RFC 3986 §3.2.2). *host_len is 0 when there is only a port. */
static bool split_address(const char *value, const char **host, size_t *host_len, uint32_t *port)
{
    const char *colon = strrchr(value, ':');
    *host = value;
    *host_len = colon ? (size_t)(colon - value) : 0;
    if (!parse_number(colon ? colon + 1 : value, 65535, port))
        return false;
    if (*host_len && value[0] == '[') {
        *host += 1;
        *host_len -= 2;
        return colon - value > 3 && colon[-1] == ']';
    }
    return !memchr(value, ':', *host_len);
}

static int set_listen(struct options *o, const char *value, char *why)
{
    const char *host = value;
    size_t host_len = strlen(value);
    uint32_t port = 0;
    bool local = strncmp(value, "unix:", 5) == 0;
    if (local ? value[5] == '\0' : !split_address(value, &host, &host_len, &port))
        return fail(why,
                    "--listen %s: not an address; write HOST:PORT (localhost:8080, *:8080, "
                    "[::1]:8080) or unix:/path",
                    value);
    struct site_listener *more =
        realloc(o->listeners, (o->listener_count + 1) * sizeof(*o->listeners));
    if (!more)
        return ERR_MEMORY;
    o->listeners = more;
    char *copy = host_len ? strndup(host, host_len) : NULL;
    if (host_len && !copy)
        return ERR_MEMORY;
    o->listeners[o->listener_count++] = (struct site_listener){.host = copy, .port = (int)port};
    return 0;
}

static uint32_t processors(void)
{
    cpu_set_t usable;
    int n = sched_getaffinity(0, sizeof(usable), &usable) ? 1 : CPU_COUNT(&usable);
    return n < 1 ? 1 : n > SERVER_WORKERS_MAX ? SERVER_WORKERS_MAX : (uint32_t)n;
}

static int set_workers(struct options *o, const char *value, char *why)
{
    if (strcmp(value, "auto") == 0)
        o->workers = processors();
    else if (!parse_number(value, SERVER_WORKERS_MAX, &o->workers) || o->workers == 0)
        return fail(why, "--workers %s: write a number from 1 to %d, or auto", value,
                    SERVER_WORKERS_MAX);
    return 0;
}

static int set_log_level(struct options *o, const char *value, char *why)
{
    if (log_level_parse(value, &o->log_level))
        return fail(why, "--log-level %s: write debug, info, warn, error or off", value);
    return 0;
}

static int set_log_format(struct options *o, const char *value, char *why)
{
    o->log_json = strcmp(value, "json") == 0;
    if (!o->log_json && strcmp(value, "text") != 0)
        return fail(why, "--log-format %s: write text or json", value);
    return 0;
}

static int set_code(struct options *o, const char *value, char *why)
{
    if (o->code)
        return fail(why, "-e comes twice; write one program");
    o->code = value;
    return 0;
}

static int set_check(struct options *o, const char *value, char *why)
{
    (void)value;
    (void)why;
    o->action = OPTIONS_CHECK;
    return 0;
}

static int set_watch(struct options *o, const char *value, char *why)
{
    (void)value;
    (void)why;
    o->watch = OPTIONS_ON;
    return 0;
}

static int set_no_watch(struct options *o, const char *value, char *why)
{
    (void)value;
    (void)why;
    o->watch = OPTIONS_OFF;
    return 0;
}

static int set_overlay(struct options *o, const char *value, char *why)
{
    if (strcmp(value, "all") != 0 && strcmp(value, "local") != 0)
        return fail(why, "--overlay is local (pages on this machine) or all, not \"%.64s\"", value);
    o->overlay_for_all = value[0] == 'a';
    return 0;
}

static int set_user(struct options *o, const char *value, char *why)
{
    if (value[0] == '\0')
        return fail(why, "--user needs the name of a user");
    o->user = value;
    return 0;
}

static int set_control(struct options *o, const char *value, char *why)
{
    if (value[0] == '\0')
        return fail(why, "--control needs the path of a socket, or none");
    o->control = value;
    return 0;
}

static int set_version(struct options *o, const char *value, char *why)
{
    (void)value;
    (void)why;
    o->action = OPTIONS_VERSION;
    return 0;
}

static int set_help(struct options *o, const char *value, char *why)
{
    (void)value;
    (void)why;
    o->action = OPTIONS_HELP;
    return 0;
}

/* ---- options --------------------------------------------------------------------------------- */

static const struct option {
    const char *name;
    const char *abbreviation;
    const char *wants; /* the value; NULL: the option takes none */
    int (*set)(struct options *o, const char *value, char *why);
} known[] = {
    {"--listen", NULL, "an address, such as localhost:8080", set_listen},
    {"--workers", NULL, "a number, or auto", set_workers},
    {"--log-level", NULL, "debug, info, warn, error or off", set_log_level},
    {"--log-format", NULL, "text or json", set_log_format},
    {"--watch", NULL, NULL, set_watch},
    {"--no-watch", NULL, NULL, set_no_watch},
    {"--overlay", NULL, "local or all", set_overlay},
    {"--user", NULL, "the name of a user", set_user},
    {"--control", NULL, "the path of a socket, or none", set_control},
    {"--check", NULL, NULL, set_check},
    {"--version", "-V", NULL, set_version},
    {"--help", "-h", NULL, set_help},
    {"-e", NULL, "a Lua program, such as 'print(1)'", set_code},
};

enum { KNOWN = sizeof(known) / sizeof(known[0]) };

/* Returns the name that was probably meant, or NULL when none is near. */
static const char *nearest(const char *name, size_t len)
{
    const char *best = NULL;
    unsigned least = SUGGEST_FAR;
    for (size_t i = 0; i < KNOWN && len > 4; i++) {
        if (strncmp(known[i].name, name, len) == 0) /* --ver */
            return known[i].name;
    }
    for (size_t i = 0; i < KNOWN; i++) {
        unsigned edits = suggest_edits(name, len, known[i].name);
        if (edits < least && edits < len - 1) {
            least = edits;
            best = known[i].name;
        }
    }
    return best;
}

static const struct option *find(const char *text, size_t len)
{
    for (size_t i = 0; i < KNOWN; i++) {
        const char *abbreviation = known[i].abbreviation;
        if (strlen(known[i].name) == len && memcmp(known[i].name, text, len) == 0)
            return &known[i];
        if (abbreviation && strlen(abbreviation) == len && memcmp(abbreviation, text, len) == 0)
            return &known[i];
    }
    return NULL;
}

static int unknown_option(const char *text, size_t len, char *why)
{
    const char *here = meant_by_option(text, len);
    if (here)
        return fail(why, "unknown option %.*s; write %s", (int)len, text, here);
    const char *meant = nearest(text, len);
    if (meant)
        return fail(why,
                    "unknown option %.*s; did you mean %s? (options of the app itself go after --)",
                    (int)len, text, meant);
    return fail(why,
                "unknown option %.*s; see moonwire --help (options of the app itself go after --)",
                (int)len, text);
}

/* Reads the option at argv[*at], "--name value" or "--name=value", and moves *at behind it. */
static int parse_option(struct options *o, int argc, char **argv, int *at, char *why)
{
    const char *text = argv[(*at)++];
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct option *option = find(text, len);
    if (!option)
        return unknown_option(text, len, why);
    if (!option->wants && equals)
        return fail(why, "%s takes no value; write just %s", option->name, option->name);
    if (!option->wants)
        return option->set(o, NULL, why);
    if (equals)
        return option->set(o, equals + 1, why);
    if (*at == argc)
        return fail(why, "%s needs %s", option->name, option->wants);
    return option->set(o, argv[(*at)++], why);
}

/* Programs in the binary's own Lua modules. All arguments behind the name are the command's. */
static const struct command {
    const char *name;
    const char *code;
    enum log_level log_level; /* a command tells its user itself what is below this level */
} commands[] = {
    {"connect", "require('moonwire.commands.connect').run(...)", LOG_ERROR},
    {"reload", "require('moonwire.commands.control').reload(...)", LOG_ERROR},
    {"rollback", "require('moonwire.commands.control').rollback(...)", LOG_ERROR},
    {"status", "require('moonwire.commands.control').status(...)", LOG_ERROR},
    {"repl", "require('moonwire.commands.repl').run(require 'moonwire')", LOG_WARN},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static bool is_no_app(const char *name, char *why)
{
    const char *names[COMMANDS + 3] = {"run", "help"};
    for (size_t i = 0; i < COMMANDS; i++)
        names[i + 2] = commands[i].name;
    return meant_another(name, names, why, OPTIONS_WHY_BYTES);
}

static int check_app(struct options *o, char *why)
{
    if (o->code && o->app)
        return fail(why, "%s and -e: which one? write moonwire APP.lua, or moonwire -e CODE",
                    o->app);
    if (o->code)
        o->app = "-e";
    if (!o->app)
        return fail(why, "which app? write moonwire APP.lua; see moonwire --help");
    if (strcmp(o->app, "-") == 0 && o->workers > 1)
        return fail(why, "standard input can be read once, not by %u workers; give a file",
                    o->workers);
    return !o->code && is_no_app(o->app, why) ? ERR_INVALID : 0;
}

static bool parse_command(struct options *o, int argc, char **argv, int at)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[at], commands[i].name) != 0)
            continue;
        o->app = commands[i].name;
        o->code = commands[i].code;
        if (o->log_level == LOG_INFO)
            o->log_level = commands[i].log_level;
        o->workers = 1;
        if (o->control) { /* the command gets it, also when it stands before the name */
            o->arguments[o->argument_count++] = (char *)"--control";
            o->arguments[o->argument_count++] = (char *)o->control;
        }
        for (at++; at < argc; at++)
            o->arguments[o->argument_count++] = argv[at];
        return true;
    }
    return false;
}

static int parse_all(struct options *o, int argc, char **argv, char *why)
{
    bool may_be_run = true;
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0) {
        const char *text = argv[at];
        if (text[0] == '-' && text[1] != '\0') {
            int err = parse_option(o, argc, argv, &at, why);
            if (err || o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION)
                return err;
            continue;
        }
        if (!o->app && !o->code && may_be_run && parse_command(o, argc, argv, at))
            return 0;
        at++;
        if (!o->app && !o->code && may_be_run && strcmp(text, "help") == 0) {
            o->action = OPTIONS_HELP;
            return 0;
        }
        if (o->app || o->code)
            o->arguments[o->argument_count++] = argv[at - 1];
        else if (may_be_run && strcmp(text, "run") == 0)
            may_be_run = false;
        else
            o->app = text;
    }
    for (at++; at < argc; at++) { /* after -- */
        if (o->app || o->code)
            o->arguments[o->argument_count++] = argv[at];
        else
            o->app = argv[at];
    }
    return check_app(o, why);
}

/* What is wrong may stand before --log-format. A value of another option that looks like this one
 * does no harm: this only says how the complaint is written. */
static bool wants_json(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = strncmp(argv[i], "--log-format=", 13) == 0 ? argv[i] + 13 : NULL;
        if (strcmp(argv[i], "--log-format") == 0 && i + 1 < argc)
            value = argv[i + 1];
        json = value ? strcmp(value, "json") == 0 : json;
    }
    return json;
}

int options_parse(struct options *o, int argc, char **argv, char why[OPTIONS_WHY_BYTES])
{
    *o = (struct options){.workers = 1, .log_level = LOG_INFO};
    o->arguments = calloc((size_t)argc + 1, sizeof(*o->arguments));
    int err = o->arguments ? parse_all(o, argc, argv, why) : ERR_MEMORY;
    if (err == ERR_MEMORY)
        fail(why, "%s", error_text(err));
    if (err) {
        options_deinit(o);
        o->log_json = wants_json(argc, argv);
    }
    return err;
}

void options_deinit(struct options *o)
{
    for (size_t i = 0; i < o->listener_count; i++)
        free(o->listeners[i].host);
    free(o->listeners);
    free(o->arguments);
    *o = (struct options){0};
}
