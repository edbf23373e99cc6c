/* Opens a unix socket at a path, whatever was left there, and removes only what it made. */
#include "transport/unix_listen.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

struct place {
    struct sockaddr_un at;
    socklen_t len;
};

static int open_stream(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- what is at the path already ---- */

/* 0: somebody listens there. ECONNREFUSED or ENOENT: nobody does. Another errno: it cannot be
 * told. A full queue (EAGAIN) has somebody who listens. */
static int probe(const struct place *p)
{
    int fd = open_stream();
    if (fd < 0)
        return errno;
    int number = connect(fd, (const struct sockaddr *)&p->at, p->len) ? errno : 0;
    close(fd);
    return number == EAGAIN ? 0 : number;
}

static bool is_free(int number)
{
    return number == ECONNREFUSED || number == ENOENT;
}

/* Removes the file that info describes. Whoever has put another one there meanwhile keeps it, and
 * bind() will say that it is in use. */
static int remove_file(const char *path, const struct stat *info, char why[LISTENING_WHY_BYTES])
{
    struct stat now;
    if (lstat(path, &now) || now.st_dev != info->st_dev || now.st_ino != info->st_ino)
        return 0;
    if (unlink(path) && errno != ENOENT)
        return listening_fail(why, ERR_IO, "cannot remove the old socket %s: %s", path,
                              listening_errno_text(errno));
    return 0;
}

/* Removes a socket's file that nobody listens on, or whose owner leaves it. 0: bind() may try. */
static int clear_path(const struct unix_listen_options *options, const struct place *p,
                      char why[LISTENING_WHY_BYTES])
{
    const char *path = options->path;
    struct stat info;
    if (lstat(path, &info)) {
        if (errno == ENOENT)
            return 0;
        return listening_fail(why, ERR_IO, "cannot listen on unix:%s: %s", path,
                              listening_errno_text(errno));
    }
    if (!S_ISSOCK(info.st_mode))
        return listening_fail(
            why, ERR_IO, "%s exists and is not a socket: remove it or choose another path", path);
    int number = probe(p);
    if (number == 0 && options->leaves && options->leaves(path))
        return remove_file(path, &info, why);
    if (number == 0 && options->leaves)
        number = probe(p); /* they may have ended while they were asked */
    if (is_free(number))
        return remove_file(path, &info, why);
    if (number == 0)
        return listening_fail(why, ERR_IN_USE,
                              "unix:%s is in use: stop the other program or choose another path",
                              path);
    return listening_fail(
        why, ERR_IO, "cannot tell whether unix:%s is in use: %s; remove it or choose another path",
        path, listening_errno_text(number));
}

/* ---- listening ---- */

static int place_of(const char *path, struct place *out, char why[LISTENING_WHY_BYTES])
{
    size_t len = strlen(path);
    *out = (struct place){.at = {.sun_family = AF_UNIX}};
    if (len == 0)
        return listening_fail(why, ERR_INVALID, "unix: needs a path, as in unix:/run/app.sock");
    if (len >= sizeof(out->at.sun_path))
        return listening_fail(why, ERR_INVALID,
                              "the path of unix:%.40s… is too long: %zu bytes, at most %zu fit",
                              path, len, sizeof(out->at.sun_path) - 1);
    memcpy(out->at.sun_path, path, len + 1);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 0;
}

int unix_listen(const struct unix_listen_options *options, struct listening *out,
                char why[LISTENING_WHY_BYTES])
{
    struct place place;
    struct stat made;
    int err = place_of(options->path, &place, why);
    if (err)
        return err;
    int fd = inherited_find(options->inherited, (const struct sockaddr *)&place.at, place.len);
    if (fd >= 0) { /* its file is the service manager's */
        *out = (struct listening){.fd = fd};
        return 0;
    }
    err = clear_path(options, &place, why);
    if (err)
        return err;
    fd = open_stream();
    if (fd < 0)
        return listening_fail(why, ERR_IO, "cannot open a socket: %s", listening_errno_text(errno));
    /* The mode of a socket before bind() is that of its file, less the umask (unix(7)). */
    if ((options->private && fchmod(fd, S_IRUSR | S_IWUSR)) ||
        bind(fd, (const struct sockaddr *)&place.at, place.len) || lstat(options->path, &made) ||
        listen(fd, options->backlog)) {
        int number = errno;
        close(fd);
        return listening_fail(why, ERR_IO, "cannot listen on unix:%s: %s", options->path,
                              listening_errno_text(number));
    }
    *out = (struct listening){fd, made.st_dev, made.st_ino};
    return 0;
}

void unix_listen_remove(const struct listening *l)
{
    struct sockaddr_un at = {0};
    socklen_t len = sizeof(at);
    struct stat now;
    if (l->inode == 0 || getsockname(l->fd, (struct sockaddr *)&at, &len))
        return;
    if (lstat(at.sun_path, &now) == 0 && now.st_dev == l->device && now.st_ino == l->inode)
        unlink(at.sun_path);
}
