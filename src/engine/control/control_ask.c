/* Asking a server over its control socket. */
#include "engine/control/control_ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* Of an answer to "about", with paths in it: further bytes are not looked at. */
enum { ANSWER_BYTES = 16384, ANSWER_MS = 2000 };

static int fail(char *why, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(char *why, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, CONTROL_ASK_WHY_BYTES, format, args);
    va_end(args);
    return err;
}

/* A socket refuses for a moment before its server listens, so it is removed only when the process
 * is gone too. */
static void remove_stale(const char *path)
{
    const char *name = strrchr(path, '/');
    long pid = name ? strtol(name + 1, NULL, 10) : 0;
    if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH)
        unlink(path);
}

/* What the server says is believed, and a path that the user gave may lie in others' folders: so
 * the server must be this user's or the superuser's. */
static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return geteuid() == 0 || (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                              (peer.uid == geteuid() || peer.uid == 0));
}

static int connect_to(int fd, const char *path, char *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path))
        return fail(why, ERR_INVALID, "%.60s… is too long for a socket: at most %zu bytes fit",
                    path, sizeof(at.sun_path) - 1);
    strcpy(at.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
        return is_trusted(fd) ? 0 : fail(why, ERR_IO, "%s is another user's", path);
    if (errno == ENOENT || errno == ECONNREFUSED)
        return fail(why, ERR_NOT_FOUND, "%s: no server listens there", path);
    if (errno == EAGAIN)
        return fail(why, ERR_IO, "%s: the server does not answer", path);
    return fail(why, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
}

int control_ask(const char *path, const char *request, int found, char why[CONTROL_ASK_WHY_BYTES])
{
    /* Does not block: the queue of a server that is stopped may be full. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(why, ERR_IO, "cannot open a socket: %s", strerrordesc_np(errno));
    int err = connect_to(fd, path, why);
    char line[64];
    int len = snprintf(line, sizeof(line), "%s\n", request);
    if (!err) { /* a server that does not take the request may have answered already */
        (void)send(fd, line, (size_t)len, MSG_NOSIGNAL);
        return fd;
    }
    close(fd);
    if (err == ERR_NOT_FOUND && found)
        remove_stale(path);
    return err;
}

long control_read(int fd, char *out, size_t size, double seconds)
{
    struct pollfd set = {.fd = fd, .events = POLLIN};
    uint64_t until_ms = clock_monotonic_ms() + (uint64_t)(seconds * 1000);
    int ready;
    do {
        uint64_t now_ms = clock_monotonic_ms();
        ready = poll(&set, 1, now_ms < until_ms ? (int)(until_ms - now_ms) : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return ERR_AGAIN;
    ssize_t n = recv(fd, out, size, 0);
    if (n < 0)
        return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
    return n;
}

bool control_is_leaving(const char *path)
{
    char why[CONTROL_ASK_WHY_BYTES];
    char answer[ANSWER_BYTES];
    size_t len = 0;
    int fd = control_ask(path, "about", false, why);
    if (fd < 0)
        return fd == ERR_NOT_FOUND;
    uint64_t until_ms = clock_monotonic_ms() + ANSWER_MS;
    for (uint64_t now_ms = until_ms - ANSWER_MS; now_ms < until_ms && len < sizeof(answer) - 1;
         now_ms = clock_monotonic_ms()) {
        double seconds = (double)(until_ms - now_ms) / 1000;
        long n = control_read(fd, answer + len, sizeof(answer) - 1 - len, seconds);
        if (n <= 0 && n != ERR_AGAIN)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    answer[len] = '\0';
    /* Within a string the quotes would be escaped. */
    return strstr(answer, ",\"draining\":true") != NULL;
}
