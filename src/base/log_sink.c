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
#include "base/error.h"

enum { LOOK_MS = 50 }; /* the thread looks so often whether it shall end */

/* How a write is kept from waiting. */
enum way {
    BY_FILE, /* it does not wait for a reader: a file, or a descriptor of our own without blocking */
    BY_SOCKET, /* MSG_DONTWAIT */
    BY_POLL    /* poll(2) before: what is writable takes PIPE_BUF bytes (pipe(7)), unless another
                * process that shares it comes first */
};

struct log_sink {
    int fd;
    bool own; /* fd is one of our own, to be closed */
    enum way way;
    pthread_mutex_t lock;
    pthread_cond_t emptied; /* nothing is queued any more */
    /* Under the lock: */
    struct buffer queue; /* behind what the thread has taken */
    size_t queued;       /* bytes of both */
    uint64_t lines;      /* of both */
    pthread_t thread;
    bool running;  /* the thread writes, or looks for more */
    bool joinable; /* it was started, and has not been joined */
    bool ending;
    _Atomic uint64_t dropped;
    _Atomic uint64_t claimed; /* of them */
};

/* ---- writing ---- */

/* Another open file description of the same pipe or terminal, which can be without blocking while that
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

/* As write(2), but never waits: then it is -1 with EAGAIN. */
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

/* How much of it the descriptor took; *failed: it takes nothing any more, now or later. */
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

/* Writes data until it is done, or the thread shall end. false: it cannot be written. */
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

/* All that is queued now, and how many lines that is. Under the lock. */
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

/* Signals are the main thread's. When the system gives no thread, the next line tries again. Under the
 * lock. */
static void start_thread(struct log_sink *s)
{
    sigset_t all, before;
    if (s->running)
        return;
    if (s->joinable) /* it has nothing to do any more but to return */
        pthread_join(s->thread, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->joinable = s->running = pthread_create(&s->thread, NULL, write_queued, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- lines ---- */

/* A line, or what is left of it. Under the lock. */
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

int log_sink_flush(struct log_sink *s, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->lock);
    while (s->running && pthread_cond_timedwait(&s->emptied, &s->lock, &until) == 0)
        ;
    int result = s->running ? ERR_AGAIN : 0;
    pthread_mutex_unlock(&s->lock);
    return result;
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
