/* The life of the process. */
#include <libdeflate.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/log_sink.h"
#include "engine/control/control.h"
#include "engine/reload/overlay.h"
#include "engine/reload/reload.h"
#include "engine/server/server.h"
#include "main/app.h"
#include "main/files.h"
#include "main/options.h"
#include "main/signals.h"
#include "script/compile.h"
#include "script/version.h"
#include "transport/tls.h"

static const char moonwire_version[] = "0.1.0";

/* EXIT_FAILURE: it cannot start. */
enum { EXIT_USAGE = 2, EXIT_STUCK = 3 };

/* Messages of a megabyte come and go. Mapped memory would cost a page fault for every 4 KiB of each,
 * so it is kept: blocks up to the first size are not mapped, up to the second not given back. */
enum { MALLOC_MAP_BYTES = 32 * 1024 * 1024, MALLOC_TRIM_BYTES = 16 * 1024 * 1024 };

struct process {
    struct options options;
    uint64_t files; /* that may be open */
    struct server server;
    struct app apps[SERVER_WORKERS_MAX];
    struct reload reload;
    struct overlay overlay;     /* in watch mode */
    struct control *control;    /* or NULL */
    char why[SERVER_WHY_BYTES]; /* it cannot start */
};

/* One line, whatever a file's name or a Lua error holds. */
static int complain(const char *why, int status)
{
    fputs("moonwire: ", stderr);
    for (; *why; why++)
        fputc((unsigned char)*why < ' ' ? ' ' : *why, stderr);
    fputc('\n', stderr);
    return status;
}

static int print_versions(void)
{
    char lua[SCRIPT_VERSION_BYTES];
    char loop[16];
    char why[TLS_WHY_BYTES];
    const char *tls = tls_library_version(why);
    printf("moonwire %s\n%s\nlibev %s\n%s\nzlib %s\nlibdeflate %s\n", moonwire_version,
           script_version(lua), server_loop_version(loop), tls ? tls : why, zlibVersion(),
           LIBDEFLATE_VERSION_STRING);
    return EXIT_SUCCESS;
}

/* libev ends a process that has no descriptors left for its loops. */
static int init(struct process *p)
{
    const struct options *o = &p->options;
    mallopt(M_MMAP_THRESHOLD, MALLOC_MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    struct log log = {.fd = STDERR_FILENO, .level = o->log_level, .json = o->log_json};
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
    }
    return err;
}

static void deinit(struct process *p)
{
    app_stop(p->apps, p->options.workers);
    overlay_deinit(&p->overlay);
    reload_deinit(&p->reload);
    control_free(p->control);
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
    return app_load(p->apps, &p->server, &p->options,
                    files_connections(p->files, p->options.workers), p->why);
}

/* Before it is said that the server listens: whoever reads that may ask it. Without one in the usual
 * place a server can still do its work. */
static int open_control(struct process *p)
{
    const struct options *o = &p->options;
    if (o->control && strcmp(o->control, "none") == 0)
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

/* Opens the listeners; without any an app is a script, which ends when nothing is pending. */
static int listen_all(struct process *p)
{
    const struct options *o = &p->options;
    const struct site *site = p->server.workers[0].site;
    if ((o->listener_count || site->listener_count) && open_control(p))
        return ERR_IO;
    if (o->listener_count)
        return server_listen(&p->server, o->listeners, o->listener_count, p->why);
    if (site->listener_count)
        return server_listen(&p->server, site->listeners, site->listener_count, p->why);
    for (uint32_t i = 0; i < p->server.worker_count; i++)
        p->server.workers[i].until_idle = true;
    if (site->route_count == 0)
        return 0;
    snprintf(p->why, sizeof(p->why),
             "%s: nowhere to listen: call mw.listen{port=8080} in it, or give --listen "
             "localhost:8080",
             o->app);
    return ERR_INVALID;
}

/* The app can be loaded again from here on. */
static int prepare_reload(struct process *p)
{
    const struct options *o = &p->options;
    if (p->server.listener_count == 0)
        return 0; /* a script: it runs once */
    int err = reload_init(&p->reload, &p->server, o->app);
    if (err) {
        snprintf(p->why, sizeof(p->why), "%s", error_text(err));
        return err;
    }
    p->reload.fixed_listeners = o->listener_count > 0;
    p->reload.compile = script_compile;
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
    int err = server_start(&p->server);
    if (err)
        snprintf(p->why, sizeof(p->why),
                 "the system gives no more threads; lower --workers or raise ulimit -u");
    return err;
}

/* What the app has asked for. */
static int exit_status(const struct server *s)
{
    return server_exiting(s) ? atomic_load(&s->exit_status) : EXIT_SUCCESS;
}

/* Serves until it is told to end. */
static int run(struct server *s)
{
    uint32_t stuck = server_run(s);
    if (stuck) {
        log_write(&s->log, LOG_ERROR, "%u of %u workers do not end: a hook never returns", stuck,
                  s->worker_count);
        if (s->control)
            control_close(s->control);
        log_end(&s->log);
        _exit(EXIT_STUCK); /* their threads cannot be joined */
    }
    server_join(s);
    if (s->listener_count)
        log_write(&s->log, LOG_INFO, "ended");
    return exit_status(s);
}

static int serve(struct process *p)
{
    if (wants_watch(&p->options) && overlay_init(&p->overlay, &p->server))
        return complain(error_text(ERR_MEMORY), EXIT_FAILURE);
    if (load(p))
        return complain(p->why, EXIT_FAILURE);
    if (server_exiting(&p->server))
        return exit_status(&p->server);
    signals_start(&p->server); /* from here on there may be something to tidy up */
    if (listen_all(p) || prepare_reload(p) || start(p))
        return complain(p->why, EXIT_FAILURE);
    return run(&p->server);
}

static int check(struct process *p)
{
    if (load(p))
        return complain(p->why, EXIT_FAILURE);
    if (server_exiting(&p->server))
        return exit_status(&p->server);
    const struct site *site = p->server.workers[0].site;
    if (server_check(&p->server, site->listeners, site->listener_count, p->why))
        return complain(p->why, EXIT_FAILURE);
    app_print(site, &p->options);
    return EXIT_SUCCESS;
}

static int with_server(struct process *p, int (*task)(struct process *p))
{
    if (init(p))
        return complain(p->why, EXIT_FAILURE);
    int status = task(p);
    deinit(p);
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
    case OPTIONS_SERVE:
        return with_server(p, serve);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct process p = {0};
    if (options_parse(&p.options, argc, argv, p.why))
        return complain(p.why, EXIT_USAGE);
    int status = act(&p);
    options_deinit(&p.options);
    return status;
}
