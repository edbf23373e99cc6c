/* The life of the process. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "engine/server.h"
#include "main/app.h"
#include "main/options.h"
#include "main/signals.h"
#include "script/version.h"
#include "transport/tls.h"

static const char moonwire_version[] = "0.1.0";

/* EXIT_FAILURE: it cannot start. */
enum { EXIT_USAGE = 2, EXIT_STUCK = 3 };

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
    printf("moonwire %s\n%s\nlibev %s\n%s\nzlib %s\n", moonwire_version, script_version(lua),
           server_loop_version(loop), tls_library_version(), zlibVersion());
    return EXIT_SUCCESS;
}

static int listen_all(struct server *s, const struct site *site, const struct options *o, char *why)
{
    if (o->listener_count)
        return server_listen(s, o->listeners, o->listener_count, why);
    if (site->listener_count)
        return server_listen(s, site->listeners, site->listener_count, why);
    snprintf(why, SERVER_WHY_BYTES,
             "%s: nowhere to listen: call mw.listen{port=8080} in it, or give --listen "
             "localhost:8080",
             o->app);
    return ERR_INVALID;
}

static int start(struct server *s, char *why)
{
    int err = server_start(s);
    if (err)
        snprintf(why, SERVER_WHY_BYTES,
                 "the system gives no more threads; lower --workers or raise ulimit -u");
    return err;
}

/* Serves until it is told to end. */
static int run(struct server *s)
{
    uint32_t stuck = server_run(s);
    if (stuck) {
        log_write(&s->log, LOG_ERROR, "%u of %u workers do not end: a hook never returns", stuck,
                  s->worker_count);
        _exit(EXIT_STUCK); /* their threads cannot be joined */
    }
    server_join(s);
    log_write(&s->log, LOG_INFO, "ended");
    return EXIT_SUCCESS;
}

static int serve(struct server *s, struct app *apps, const struct options *o)
{
    char why[SERVER_WHY_BYTES] = "";
    if (app_load(apps, s, o, why))
        return complain(why, EXIT_FAILURE);
    signals_start(s); /* from here on there may be something to tidy up */
    if (listen_all(s, apps[0].site, o, why) || start(s, why))
        return complain(why, EXIT_FAILURE);
    return run(s);
}

static int check(struct server *s, struct app *apps, const struct options *o)
{
    char why[SERVER_WHY_BYTES] = "";
    if (app_load(apps, s, o, why) ||
        server_check(s, apps[0].site->listeners, apps[0].site->listener_count, why))
        return complain(why, EXIT_FAILURE);
    app_print(&apps[0], o);
    return EXIT_SUCCESS;
}

static int with_server(const struct options *o,
                       int (*task)(struct server *s, struct app *apps, const struct options *o))
{
    struct log log = {.fd = STDERR_FILENO, .level = o->log_level, .json = o->log_json};
    uint32_t workers = o->action == OPTIONS_CHECK ? 1 : o->workers;
    struct server server;
    struct app apps[SERVER_WORKERS_MAX] = {{0}};
    signals_init();
    if (server_init(&server, workers, &log))
        return complain("out of memory or file descriptors; lower --workers", EXIT_FAILURE);
    int status = task(&server, apps, o);
    app_stop(apps, workers);
    server_deinit(&server);
    app_free(apps, workers);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    char why[OPTIONS_WHY_BYTES];
    int status = EXIT_SUCCESS;
    if (options_parse(&o, argc, argv, why))
        return complain(why, EXIT_USAGE);
    switch (o.action) {
    case OPTIONS_HELP:
        fputs(options_help, stdout);
        break;
    case OPTIONS_VERSION:
        status = print_versions();
        break;
    case OPTIONS_CHECK:
        status = with_server(&o, check);
        break;
    case OPTIONS_SERVE:
        status = with_server(&o, serve);
        break;
    }
    options_deinit(&o);
    return status;
}
