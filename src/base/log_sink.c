/* Writes lines at once where the descriptor takes them, and else from a thread. */
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"

enum { LOOK_MS = 50 }; /* how often the thread looks whether it shall end */

/* The ways to keep a write from waiting. */
enum way {
    BY_FILE,   /* nothing is needed: for a file, and for a non-blocking descriptor of our own */
    BY_SOCKET, /* MSG_DONTWAIT */
    /* poll(2) first: a descriptor that is writable takes PIPE_BUF bytes (pipe(7)), unless another
     * process that shares it comes first. */
    BY_POLL
};

struct log_sink {
    int fd;
    bool own; /* fd is our own, and must be closed */
    enum way way;
    pthread_mutex_t lock;
    pthread_cond_t emptied; /* nothing is queued any more */
    /* Under the lock: */
    struct buffer queue; /* lines behind those that the thread has taken */
    size_t queued;       /* bytes in the queue and of the lines that the thread has taken */
    uint64_t lines;      /* in the queue */
    pthread_t thread;
    bool running;  /* the thread writes, or looks for more */
    bool joinable; /* it was started, and has not been joined */
    bool ending;
    _Atomic uint64_t dropped;
    _Atomic uint64_t claimed; /* how many of them */
};

/* ---- writing ---- */

/* Opens the same pipe or terminal again: this open file description can be non-blocking while that
 * of the other processes is not. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void choose_way(struct log_sink *s, int fd)
{
    struct stat st;
    s->fd = fd;
    s->way = BY_FILE;
    if (fstat(fd, &st))
        return;
    if (S_ISSOCK(st.st_mode)) {
        s->way = BY_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int again = open_again(fd);
        s->own = again >= 0;
        s->fd = s->own ? again : fd;
        s->way = s->own ? BY_FILE : BY_POLL;
    }
}

static bool is_writable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    return poll(&one, 1, timeout_ms) > 0;
}

/* Does what write(2) does, but never waits: it fails with EAGAIN instead. */
static ssize_t write_now(const struct log_sink *s, const uint8_t *data, size_t len)
{
    ssize_t n;
    do {
        if (s->way == BY_SOCKET) {
            n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (s->way == BY_POLL && !is_writable(s->fd, 0)) {
            errno = EAGAIN;
            return -1;
        } else {
            n = write(s->fd, data, s->way == BY_POLL && len > PIPE_BUF ? PIPE_BUF : len);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Returns how many bytes the descriptor took. *failed says that it will never take more. */
static size_t write_some(const struct log_sink *s, const uint8_t *data, size_t len, bool *failed)
{
    size_t done = 0;
    *failed = false;
    while (done < len) {
        ssize_t n = write_now(s, data + done, len - done);
        if (n <= 0) {
            *failed = n == 0 || errno != EAGAIN;
            return done;
        }
        done += (size_t)n;
    }
    return done;
}

/* ---- the thread ---- */

static void count_dropped(struct log_sink *s, uint64_t lines)
{
    atomic_fetch_add(&s->dropped, lines);
}

/* Writes data until it is done or the thread shall end. False when not all was written. */
static bool write_patiently(struct log_sink *s, const uint8_t *data, size_t len)
{
    bool failed = false, ending = false;
    while (len > 0 && !failed && !ending) {
        is_writable(s->fd, LOOK_MS);
        size_t done = write_some(s, data, len, &failed);
        data += done;
        len -= done;
        pthread_mutex_lock(&s->lock);
        s->queued -= done;
        ending = s->ending;
        pthread_mutex_unlock(&s->lock);
    }
    return len == 0;
}

/* Takes the whole queue, and returns how many lines it holds. Under the lock. */
static uint64_t take(struct log_sink *s, struct buffer *out)
{
    uint64_t lines = s->lines;
    *out = s->queue;
    s->queue = (struct buffer){0};
    s->lines = 0;
    return lines;
}

static void *write_queued(void *argument)
{
    struct log_sink *s = argument;
    pthread_mutex_lock(&s->lock);
    while (s->queue.len > 0 && !s->ending) {
        struct buffer taken;
        uint64_t lines = take(s, &taken);
        pthread_mutex_unlock(&s->lock);
        bool done = write_patiently(s, taken.data, taken.len);
        buffer_deinit(&taken);
        pthread_mutex_lock(&s->lock);
        if (!done) {
            count_dropped(s, lines);
            s->queued = s->queue.len;
        }
    }
    s->running = false;
    pthread_cond_broadcast(&s->emptied);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Starts the thread, without signals, which are the main thread's. When the system gives none, the
 * next line tries again. Under the lock. */
static void start_thread(struct log_sink *s)
{
    sigset_t all, before;
    if (s->running)
        return;
    if (s->joinable) /* all that it still does is return */
        pthread_join(s->thread, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->joinable = s->running = pthread_create(&s->thread, NULL, write_queued, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- lines ---- */

/* Queues a line or the rest of one. Under the lock. */
static bool queue_line(struct log_sink *s, const uint8_t *data, size_t len)
{
    if (s->queued > 0 && s->queued + len > LOG_QUEUED_BYTES)
        return false;
    if (buffer_append(&s->queue, data, len))
        return false;
    s->queued += len;
    s->lines++;
    start_thread(s);
    return true;
}

bool log_sink_put(struct log_sink *s, const uint8_t *line, size_t len)
{
    bool failed = false;
    size_t done = 0;
    pthread_mutex_lock(&s->lock);
    if (s->queued == 0)
        done = write_some(s, line, len, &failed);
    bool taken = !failed && (done == len || queue_line(s, line + done, len - done));
    pthread_mutex_unlock(&s->lock);
    if (!taken)
        count_dropped(s, 1);
    return taken;
}

uint64_t log_sink_dropped(const struct log_sink *s)
{
    return atomic_load(&s->dropped);
}

uint64_t log_sink_claim(struct log_sink *s)
{
    uint64_t claimed = atomic_load(&s->claimed);
    uint64_t dropped;
    do {
        dropped = atomic_load(&s->dropped);
    } while (!atomic_compare_exchange_weak(&s->claimed, &claimed, dropped));
    return dropped - claimed;
}

void log_sink_unclaim(struct log_sink *s, uint64_t lines)
{
    atomic_fetch_sub(&s->claimed, lines);
}

/* ---- life ---- */

int log_sink_new(struct log_sink **out, int fd)
{
    struct log_sink *s = calloc(1, sizeof(*s));
    pthread_condattr_t monotonic;
    if (!s)
        return ERR_MEMORY;
    choose_way(s, fd);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->emptied, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = s;
    return 0;
}

bool log_sink_flush(struct log_sink *s, unsigned ms)
{
    uint64_t until_ms = clock_monotonic_ms() + ms;
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&s->lock);
    while (s->running && pthread_cond_timedwait(&s->emptied, &s->lock, &until) == 0)
        ;
    bool done = !s->running;
    pthread_mutex_unlock(&s->lock);
    return done;
}

void log_sink_free(struct log_sink *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    bool joinable = s->joinable;
    pthread_mutex_unlock(&s->lock);
    if (joinable)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->emptied);
    pthread_mutex_destroy(&s->lock);
    buffer_deinit(&s->queue);
    if (s->own)
        close(s->fd);
    free(s);
}
