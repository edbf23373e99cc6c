/* The life of the process: it reads the command line, loads the app, listens, serves and ends. */
#include <libdeflate.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/complain.h"
#include "base/error.h"
#include "base/excerpt.h"
#include "base/log_sink.h"
#include "engine/control/control.h"
#include "engine/control/supervisor.h"
#include "engine/reload/first_load.h"
#include "engine/reload/overlay.h"
#include "engine/reload/reload.h"
#include "engine/server/server.h"
#include "engine/server/stuck.h"
#include "main/check.h"
#include "main/files.h"
#include "main/options.h"
#include "main/signals.h"
#include "main/user.h"
#include "script/app.h"
#include "script/compile.h"
#include "script/loading.h"
#include "script/version.h"
#include "transport/inherited.h"
#include "transport/tls.h"

static const char moonwire_version[] = "0.1.0";

/* Exit statuses beside EXIT_FAILURE, which says that the process could not start. AGAIN is none:
 * the app is to be loaded again, as if the process had just begun. */
enum { AGAIN = -1, EXIT_USAGE = 2, EXIT_STUCK = 3 };

/* Messages of a megabyte come and go, and mapped memory costs a page fault for every 4 KiB. So
 * blocks up to MALLOC_MAP_BYTES come from the heap, of which up to MALLOC_TRIM_BYTES stay with the
 * process when they are free. */
enum { MALLOC_MAP_BYTES = 32 * 1024 * 1024, MALLOC_TRIM_BYTES = 16 * 1024 * 1024 };

struct process {
    struct options options;
    uint64_t files; /* descriptors that may be open */
    struct script_source source;
    struct server server;
    struct app apps[SERVER_WORKERS_MAX];
    struct reload reload;
    struct user user;
    struct inherited inherited;
    struct supervisor supervisor;
    struct overlay overlay;     /* used in watch mode only */
    struct control *control;    /* may be NULL */
    bool tried;                 /* the app's file was there, and did not load */
    char why[SERVER_WHY_BYTES]; /* one line: why the process cannot start */
};

static int complain_of(const struct options *o, const char *why, int status)
{
    const struct log log = {.fd = STDERR_FILENO, .json = o->log_json};
    complain(&log, why);
    return status;
}

static int print_versions(void)
{
    char lua[SCRIPT_VERSION_BYTES];
    char loop[16];
    printf("moonwire %s\n%s\nlibev %s\n%s\nzlib %s\nlibdeflate %s\n", moonwire_version,
           script_version(lua), server_loop_version(loop), tls_library_version(), zlibVersion(),
           LIBDEFLATE_VERSION_STRING);
    return EXIT_SUCCESS;
}

/* https://no-color.org: whatever the variable holds, unless it is empty. */
static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return !(no && *no) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* Counts descriptors before it makes loops, for libev ends a process that has none left for
 * them. */
static int init(struct process *p)
{
    const struct options *o = &p->options;
    mallopt(M_MMAP_THRESHOLD, MALLOC_MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    bool terminal = !o->log_json && isatty(STDERR_FILENO);
    struct log log = {.fd = STDERR_FILENO,
                      .level = o->log_level,
                      .json = o->log_json,
                      .terminal = terminal,
                      .colour = terminal && wants_colour()};
    signals_init();
    p->files = files_raise();
    if (p->files < files_needed(o->workers)) {
        snprintf(p->why, sizeof(p->why),
                 "%llu open files are too few for --workers %u: raise ulimit -n to %llu at least",
                 (unsigned long long)p->files, o->workers,
                 (unsigned long long)files_needed(o->workers));
        return ERR_LIMIT;
    }
    int err = log_sink_new(&log.sink, STDERR_FILENO);
    if (!err)
        err = server_init(&p->server, o->workers, &log);
    if (err) {
        log_sink_free(log.sink);
        snprintf(p->why, sizeof(p->why), "out of memory or file descriptors; lower --workers");
        return err;
    }
    p->server.inherited = &p->inherited;
    supervisor_init(&p->supervisor, &p->server);
    return 0;
}

static void deinit(struct process *p)
{
    app_stop(p->apps, p->options.workers);
    overlay_deinit(&p->overlay);
    supervisor_deinit(&p->supervisor);
    reload_deinit(&p->reload);
    control_free(p->control);
    p->control = NULL;
    const struct log log = p->server.log;
    server_deinit(&p->server);
    log_end(&log);
    log_sink_free(log.sink);
}

static bool wants_watch(const struct options *o)
{
    return o->watch == OPTIONS_ON || (o->watch == OPTIONS_AUTO && isatty(STDOUT_FILENO));
}

static int load(struct process *p)
{
    const struct options *o = &p->options;
    p->source = (struct script_source){o->app, o->code, o->argument_count, o->arguments,
                                       o->listener_count > 0};
    return app_load(p->apps, &p->server, &p->source, files_connections(p->files, o->workers),
                    p->why);
}

/* To be called before the log says that the server listens, since whoever reads that may use the
 * control socket at once; only with --user that comes later, since the socket is that user's. A
 * server that cannot have one in the usual place works without it. */
static int open_control(struct process *p)
{
    const struct options *o = &p->options;
    bool serves = o->listener_count || p->server.workers[0].site->listener_count;
    if (!serves || (o->control && strcmp(o->control, "none") == 0))
        return 0;
    const struct control_options options = {o->control, o->app, o->code ? NULL : o->app,
                                            moonwire_version};
    int err = control_new(&p->control, &p->server, &options, p->why);
    if (err == 0 || o->control)
        return err;
    log_write(&p->server.log, LOG_WARN,
              "no control socket, so moonwire reload and status do not find this server: %s (see "
              "--control)",
              p->why);
    return 0;
}

/* Opens the listeners. An app without any is a script, which ends when nothing is pending. */
static int listen_all(struct process *p)
{
    const struct options *o = &p->options;
    const struct site *site = p->server.workers[0].site;
    if (o->listener_count)
        return server_listen(&p->server, o->listeners, o->listener_count, p->why);
    if (site->listener_count)
        return server_listen(&p->server, site->listeners, site->listener_count, p->why);
    for (uint32_t i = 0; i < p->server.worker_count; i++)
        p->server.workers[i].until_idle = true;
    app_unwatch(p->apps, p->server.worker_count);
    if (site->route_count == 0)
        return 0;
    snprintf(p->why, sizeof(p->why),
             "%s: nowhere to listen: call mw.listen{port=8080} in it, or give --listen "
             "localhost:8080",
             o->app);
    return ERR_INVALID;
}

/* From here on the app can be loaded again. */
static int prepare_reload(struct process *p)
{
    const struct options *o = &p->options;
    if (p->server.listener_count == 0)
        return 0; /* a script: it runs once */
    const struct reload_options options = {
        .app = o->app,
        .fixed_listeners = o->listener_count > 0,
        .at_desk = wants_watch(o) && (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO)),
        .compile = script_compile,
    };
    int err = reload_init(&p->reload, &p->server, &options);
    if (err) {
        snprintf(p->why, sizeof(p->why), "%s", error_text(err));
        return err;
    }
    if (p->control)
        control_start(p->control);
    if (wants_watch(o))
        reload_watch(&p->reload);
    if (p->server.overlay)
        overlay_start(&p->overlay, &p->reload);
    return 0;
}

static int start(struct process *p)
{
    supervisor_hide();
    int err = server_start(&p->server);
    if (!err)
        supervisor_ready(&p->supervisor, p->server.reload);
    else
        snprintf(p->why, sizeof(p->why),
                 "the system gives no more threads; lower --workers or raise ulimit -u");
    return err;
}

/* The status that the app has asked for. A script that has failed in a timer, a task or a listener
 * says so by its status too; a server goes on, and has its log. */
static int exit_status(const struct server *s)
{
    if (server_exiting(s))
        return atomic_load(&s->exit_status);
    bool failed = s->listener_count == 0 && server_counter(s, COUNT_HOOK_FAILURES) > 0;
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Serves until the server is told to end. */
static int run(struct process *p)
{
    struct server *s = &p->server;
    struct stuck stuck;
    if (s->listener_count)
        stuck_begin(&stuck, s);
    uint32_t running = server_run(s);
    supervisor_stopping(&p->supervisor);
    if (s->listener_count)
        stuck_end(&stuck);
    if (running) {
        log_write(&s->log, LOG_ERROR, "%u of %u workers do not end: a hook never returns", running,
                  s->worker_count);
        if (s->control)
            control_close(s->control);
        log_end(&s->log);
        _exit(EXIT_STUCK); /* their threads cannot be joined */
    }
    server_join(s);
    if (s->listener_count)
        log_write(&s->log, LOG_INFO, "ended");
    return s->listener_count && stuck.gave_up ? EXIT_STUCK : exit_status(s);
}

/* An app that cannot begin: in watch mode its next save may mend it. A file that is not there is
 * most likely a name that was mistyped, but not if it was there before. */
static int try_again(struct process *p)
{
    const struct options *o = &p->options;
    if (!o->log_json && isatty(STDERR_FILENO))
        excerpt_append(p->why, sizeof(p->why));
    (void)complain_of(o, p->why, EXIT_FAILURE);
    if (!wants_watch(o) || o->code || strcmp(o->app, "-") == 0)
        return EXIT_FAILURE;
    if (!p->tried && access(o->app, R_OK))
        return EXIT_FAILURE;
    p->tried = true;
    return first_load_wait(&p->server, o->app) ? AGAIN : EXIT_FAILURE;
}

static int serve(struct process *p)
{
    const struct options *o = &p->options;
    const struct overlay_options overlay = {o->overlay_for_all, o->listeners, o->listener_count};
    if (wants_watch(o) && overlay_init(&p->overlay, &p->server, &overlay))
        return complain_of(o, error_text(ERR_MEMORY), EXIT_FAILURE);
    if (user_find(&p->user, o->user, p->why))
        return complain_of(o, p->why, EXIT_FAILURE);
    int err = load(p);
    if (server_exiting(&p->server))
        return exit_status(&p->server);
    signals_start(&p->server); /* before there are socket files that must be removed */
    if (err)
        return try_again(p);
    if (!o->user && open_control(p))
        return complain_of(o, p->why, EXIT_FAILURE);
    if (listen_all(p))
        return try_again(p);
    if (user_become(&p->user, p->why) || (o->user && open_control(p)))
        return complain_of(o, p->why, EXIT_FAILURE);
    if (prepare_reload(p) || start(p))
        return complain_of(o, p->why, EXIT_FAILURE);
    return run(p);
}

static int check(struct process *p)
{
    if (load(p))
        return complain_of(&p->options, p->why, EXIT_FAILURE);
    if (server_exiting(&p->server))
        return exit_status(&p->server);
    const struct site *site = p->server.workers[0].site;
    if (server_check(&p->server, site->listeners, site->listener_count, p->why))
        return complain_of(&p->options, p->why, EXIT_FAILURE);
    const struct options *o = &p->options;
    if (o->listener_count)
        check_print(site, o->listeners, o->listener_count);
    else
        check_print(site, site->listeners, site->listener_count);
    return EXIT_SUCCESS;
}

static int with_server(struct process *p, int (*task)(struct process *p))
{
    if (init(p))
        return complain_of(&p->options, p->why, EXIT_FAILURE);
    int status = task(p);
    deinit(p);
    user_deinit(&p->user);
    return status;
}

static int act(struct process *p)
{
    switch (p->options.action) {
    case OPTIONS_HELP:
        fputs(options_help, stdout);
        return EXIT_SUCCESS;
    case OPTIONS_VERSION:
        return print_versions();
    case OPTIONS_CHECK:
        p->options.workers = 1;
        return with_server(p, check);
    case OPTIONS_SERVE: {
        int status = AGAIN;
        inherited_take(&p->inherited);
        while (status == AGAIN)
            status = with_server(p, serve);
        inherited_close(&p->inherited);
        return status;
    }
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct process p = {0};
    if (options_parse(&p.options, argc, argv, p.why))
        return complain_of(&p.options, p.why, EXIT_USAGE);
    int status = act(&p);
    options_deinit(&p.options);
    return status;
}
