/* Looks at what is there under the name of an app. */
#include "main/meant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/suggest.h"

/* Commands of other programs. */
static const struct {
    const char *name;
    const char *advice;
} others[] = {
    {"new", "an app is one Lua file, which you write: moonwire --help shows a first one"},
    {"init", "an app is one Lua file, which you write: moonwire --help shows a first one"},
    {"create", "an app is one Lua file, which you write: moonwire --help shows a first one"},
    {"test", "moonwire --check APP.lua loads an app and serves nothing"},
    {"check", "write moonwire --check APP.lua"},
    {"version", "write moonwire --version"},
    {"start", "write moonwire APP.lua"},
    {"serve", "write moonwire APP.lua"},
    {"dev", "write moonwire APP.lua --watch"},
    {"watch", "write moonwire APP.lua --watch"},
    {"restart", "write moonwire reload, which keeps all connections"},
    {"stop", "a server ends with SIGTERM or Ctrl-C"},
};

/* Options of other servers. */
static const struct {
    const char *name;
    const char *advice;
} options[] = {
    {"--port", "--listen 8080"},
    {"-p", "--listen 8080"},
    {"--host", "--listen HOST:PORT"},
    {"--bind", "--listen HOST:PORT"},
    {"--address", "--listen HOST:PORT"},
    {"--verbose", "--log-level debug"},
    {"--debug", "--log-level debug"},
    {"--quiet", "--log-level warn"},
    {"-v", "--version, or --log-level debug"},
    {"--reload", "--watch"},
    {"-w", "--watch"},
    {"--threads", "--workers auto"},
    {"--test", "--check"},
    {"-t", "--check"},
    {"--eval", "-e"},
    {"--tls", "mw.listen { port = 8443, tls = true } in the app"},
    {"--cert", "mw.listen { port = 8443, tls = { cert = …, key = … } } in the app"},
    {"--key", "mw.listen { port = 8443, tls = { cert = …, key = … } } in the app"},
};

const char *meant_by_option(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, text, len) == 0)
            return options[i].advice;
    }
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static void about_folder(const char *folder, char *why, size_t size)
{
    static const char *const usual[] = {"app.lua", "main.lua", "init.lua", "server.lua"};
    size_t len = strlen(folder);
    const char *slash = len > 0 && folder[len - 1] == '/' ? "" : "/";
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        char path[4096];
        int n = snprintf(path, sizeof(path), "%s%s%s", folder, slash, usual[i]);
        if (n > 0 && (size_t)n < sizeof(path) && is_file(path)) {
            (void)snprintf(why, size, "%.200s is a folder; did you mean moonwire %.200s?", folder,
                           path);
            return;
        }
    }
    (void)snprintf(why, size,
                   "%.200s is a folder; give the Lua file in it that is your app: moonwire "
                   "%.200s%sAPP.lua",
                   folder, folder, slash);
}

static const char *nearest(const char *name, const char *const *commands)
{
    const char *best = NULL;
    unsigned least = SUGGEST_FAR;
    for (; *commands; commands++) {
        unsigned edits = suggest_edits(name, strlen(name), *commands);
        if (edits < least && edits < strlen(name) - 1) {
            least = edits;
            best = *commands;
        }
    }
    return best;
}

bool meant_another(const char *name, const char *const *commands, char *why, size_t size)
{
    struct stat info;
    if (stat(name, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            about_folder(name, why, size);
        return S_ISDIR(info.st_mode);
    }
    if (errno != ENOENT || strpbrk(name, "./") || strlen(name) < 2)
        return false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(name, others[i].name) == 0) {
            (void)snprintf(why, size, "there is no command or file %s; %s", name, others[i].advice);
            return true;
        }
    }
    char file[4096];
    int n = snprintf(file, sizeof(file), "%s.lua", name);
    if (n > 0 && (size_t)n < sizeof(file) && is_file(file)) {
        (void)snprintf(why, size,
                       "there is no command or file %.100s; did you mean moonwire %.200s?", name,
                       file);
        return true;
    }
    const char *command = nearest(name, commands);
    if (command)
        (void)snprintf(why, size, "there is no command or file %.100s; did you mean %s?", name,
                       command);
    else
        (void)snprintf(why, size,
                       "there is no command or file %.100s; write moonwire APP.lua, see moonwire "
                       "--help",
                       name);
    return true;
}
