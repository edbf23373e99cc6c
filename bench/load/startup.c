/* Starts the server `count` times: milliseconds from fork to the first connection that the kernel
 * accepts and to the first upgrade that the server answers; resident memory after that. */
#include "conn.h"
#include "fail.h"
#include "modes.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct start {
    double listen_ms;
    double answer_ms;
    double rss_bytes;
};

static void become_server(const struct options *o)
{
    if (o->server_cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET((size_t)o->server_cpu, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    execvp(o->command[0], o->command);
    fprintf(stderr, "load: cannot start %s: %s\n", o->command[0], strerror(errno));
    _exit(127);
}

/* A refused connection costs some 10 µs: asks again and again, on the other core. */
static void wait_for_listener(const struct options *o, pid_t pid, uint64_t begin)
{
    for (bool connected = false; !connected;) {
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            fail("the server ended at once");
        }
        if (now_ns() - begin > 10000000000u) {
            kill(pid, SIGKILL);
            fail("the server does not listen after ten seconds");
        }
        int fd = conn_socket(0, 0);
        connected = conn_try(fd, o->port);
        close(fd);
    }
}

static struct start start_once(const struct options *o)
{
    struct start s;
    struct conn c;
    uint64_t begin = now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        become_server(o);
    }
    if (pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    wait_for_listener(o, pid, begin);
    s.listen_ms = (double)(now_ns() - begin) / 1e6;
    conn_open(&c, 0, o, NULL, false);
    s.answer_ms = (double)(now_ns() - begin) / 1e6;
    usleep(100000);
    s.rss_bytes = (double)process_rss_bytes(pid);
    close(c.fd);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return s;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* For scripts: until something listens on the port, or --seconds are over. */
int wait_run(const struct options *o)
{
    uint64_t end = now_ns() + (uint64_t)(o->seconds * 1e9);
    while (now_ns() < end) {
        int fd = conn_socket(0, 0);
        bool connected = conn_try(fd, o->port);
        close(fd);
        if (connected) {
            return 0;
        }
        usleep(2000);
    }
    fail("nobody listens on port %u", o->port);
}

int startup_run(const struct options *o)
{
    double *listen = calloc(o->count, sizeof *listen);
    double *answer = calloc(o->count, sizeof *answer);
    double *rss = calloc(o->count, sizeof *rss);
    if (!listen || !answer || !rss || !o->command) {
        fail("startup needs a command after --");
    }
    for (unsigned i = 0; i < o->count; i++) {
        struct start s = start_once(o);
        listen[i] = s.listen_ms;
        answer[i] = s.answer_ms;
        rss[i] = s.rss_bytes;
    }
    printf("{\"mode\":\"startup\",\"listen_ms\":%.2f,\"answer_ms\":%.2f,\"rss_bytes\":%.0f}\n",
           median(listen, o->count), median(answer, o->count), median(rss, o->count));
    free(listen);
    free(answer);
    free(rss);
    return 0;
}
