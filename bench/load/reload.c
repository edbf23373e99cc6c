/* An app is edited while its clients talk: how long from the save to the first event that the new code
 * handles, and for how long the switch holds events up. Messages are sent at a fixed rate whether or
 * not earlier ones are answered, each connection in its turn, so that a pause of the server shows in
 * all that came due meanwhile. The app answers a text with "version text". */
#include "conn.h"
#include "cycle.h"
#include "fail.h"
#include "histogram.h"
#include "modes.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, FILE_ROOM = 1 << 20, REPLY_ROOM = 4096, COUNT_MAX = 1000 };
static const char MARK[] = "local version = ";
static const uint64_t STEP_NS = 200000;
static const uint64_t STALL_NS = 5000000000u;
static const uint64_t PAUSE_NS = 200000000; /* before each edit */
static const uint64_t AFTER_NS = 50000000; /* what is sent so soon after the switch counts for it */

struct talker {
    struct conn conn;
    uint64_t due_ns; /* of the message on its way; 0: none */
    unsigned version;
};

struct reload {
    const struct options *o;
    int epoll;
    struct talker *talkers;
    unsigned next;
    uint64_t due_ns;      /* of the next message */
    unsigned version;     /* the newest that has answered */
    uint64_t switched_ns; /* when it first did */
    uint64_t worst_ns;    /* since it was set to 0 */
    uint64_t messages;
    struct histogram quiet; /* latencies between edits */
    bool editing;
    char *source;
    size_t source_len;
    size_t mark; /* where in it the version begins */
    size_t rest;
};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void read_source(struct reload *r)
{
    FILE *f = fopen(r->o->edit, "rb");
    r->source = malloc(FILE_ROOM);
    if (!f || !r->source) {
        fail("cannot read %s", r->o->edit);
    }
    r->source_len = fread(r->source, 1, FILE_ROOM - 1, f);
    fclose(f);
    r->source[r->source_len] = '\0';
    const char *at = strstr(r->source, MARK);
    if (!at) {
        fail("%s has no line '%s0'", r->o->edit, MARK);
    }
    r->mark = (size_t)(at - r->source) + sizeof MARK - 1;
    r->rest = r->mark + strspn(r->source + r->mark, "0123456789");
}

/* As editors do: a new file, renamed. */
static void save(struct reload *r, unsigned version)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.new", r->o->edit);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(r->source, 1, r->mark, f) != r->mark || fprintf(f, "%u", version) < 0 ||
        fputs(r->source + r->rest, f) < 0 || fclose(f) != 0 || rename(path, r->o->edit) != 0) {
        fail("cannot write %s", r->o->edit);
    }
}

static void send_one(struct reload *r)
{
    struct talker *t = NULL;
    for (unsigned i = 0; i < r->o->connections && !t; i++) {
        struct talker *free_one = &r->talkers[r->next++ % r->o->connections];
        t = free_one->due_ns ? NULL : free_one;
    }
    if (!t) {
        fail("no connection is free: the server is slower than --rate");
    }
    uint8_t text[16];
    uint8_t out[64];
    memset(text, 'x', sizeof text);
    size_t n = frame_write(out, (struct framing){.opcode = 1, .masked = true}, text, sizeof text);
    t->due_ns = r->due_ns;
    if (conn_write(&t->conn, out, n) != (ssize_t)n) {
        fail("the server closed a connection, or does not read");
    }
}

static void on_reply(struct reload *r, struct talker *t, uint64_t now)
{
    uint8_t reply[REPLY_ROOM];
    ssize_t n = conn_read(&t->conn, reply, sizeof reply - 1);
    if (n == 0) {
        return;
    }
    if (n < 3 || reply[0] != 0x81 || (ssize_t)reply[1] + 2 != n || !t->due_ns) {
        fail(n < 0 ? "the server closed a connection" : "not the answer to one message");
    }
    reply[n] = '\0';
    unsigned version = (unsigned)strtoul((char *)reply + 2, NULL, 10);
    if (version < t->version) {
        fail("version %u answered after version %u", version, t->version);
    }
    t->version = version;
    if (version > r->version) {
        r->version = version;
        r->switched_ns = now;
    }
    uint64_t latency = now - t->due_ns;
    t->due_ns = 0;
    r->messages++;
    if (latency > r->worst_ns) {
        r->worst_ns = latency;
    }
    if (!r->editing) {
        histogram_add(&r->quiet, latency);
    }
}

/* Until a time, or until this version has answered; forgets the worst latency before. */
static void talk(struct reload *r, uint64_t until_ns, unsigned version)
{
    struct epoll_event events[EVENTS];
    uint64_t stall_ns = now_ns() + STALL_NS;
    r->worst_ns = 0;
    while (now_ns() < until_ns && r->version < version) {
        struct timespec wait = {.tv_nsec = (long)STEP_NS};
        int n = epoll_pwait2(r->epoll, events, EVENTS, &wait, NULL);
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            on_reply(r, events[i].data.ptr, now);
        }
        for (; r->due_ns <= now; r->due_ns += (uint64_t)(1e9 / r->o->rate)) {
            send_one(r);
        }
        if (now > stall_ns) {
            fail("version %u does not come; the last that answered is %u", version, r->version);
        }
    }
}

static void print(const struct reload *r, uint64_t *taken, uint64_t *held, uint64_t *control)
{
    unsigned n = r->o->count;
    qsort(taken, n, sizeof *taken, by_value);
    qsort(held, n, sizeof *held, by_value);
    qsort(control, n, sizeof *control, by_value);
    printf("{\"mode\":\"reload\",\"connections\":%u,\"edits\":%u,\"messages\":%llu,"
           "\"rate\":%.0f,\"save_to_event_ms\":{\"median\":%.2f,\"max\":%.2f},"
           "\"longest_wait_ms\":{\"median\":%.2f,\"p90\":%.2f,\"max\":%.2f},"
           "\"longest_wait_between_edits_ms\":{\"median\":%.2f,\"p90\":%.2f,\"max\":%.2f},"
           "\"latency_between_edits_ms\":{\"p50\":%.3f,\"p99\":%.3f}}\n",
           r->o->connections, n, (unsigned long long)r->messages, r->o->rate,
           (double)taken[n / 2] / 1e6, (double)taken[n - 1] / 1e6, (double)held[n / 2] / 1e6,
           (double)held[n * 9 / 10] / 1e6, (double)held[n - 1] / 1e6, (double)control[n / 2] / 1e6,
           (double)control[n * 9 / 10] / 1e6, (double)control[n - 1] / 1e6,
           (double)histogram_quantile(&r->quiet, 0.5) / 1e6,
           (double)histogram_quantile(&r->quiet, 0.99) / 1e6);
}

int reload_run(const struct options *o)
{
    struct reload r = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    static uint64_t taken[COUNT_MAX], held[COUNT_MAX], control[COUNT_MAX];
    if (!o->edit || o->tls || !(o->rate > 0) || o->count > COUNT_MAX) {
        fail("reload needs --edit APP, a --rate, at most %d edits, and no TLS", COUNT_MAX);
    }
    read_source(&r);
    unsigned first = (unsigned)strtoul(r.source + r.mark, NULL, 10);
    r.talkers = calloc(o->connections, sizeof *r.talkers);
    if (r.epoll < 0 || !r.talkers) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < o->connections; i++) {
        conn_open(&r.talkers[i].conn, i, o, NULL, false);
        conn_watch(r.epoll, &r.talkers[i].conn, &r.talkers[i]);
    }
    r.version = first;
    r.due_ns = now_ns();
    talk(&r, now_ns() + (uint64_t)(o->warmup_seconds * 1e9), UINT32_MAX);
    for (unsigned i = 0; i < o->count; i++) {
        r.editing = false;
        talk(&r, now_ns() + PAUSE_NS, UINT32_MAX);
        control[i] = r.worst_ns; /* of a longer time than the other */
        r.editing = true;
        uint64_t saved_ns = now_ns();
        save(&r, first + i + 1);
        talk(&r, UINT64_MAX, first + i + 1);
        uint64_t worst_ns = r.worst_ns;
        talk(&r, r.switched_ns + AFTER_NS, UINT32_MAX);
        taken[i] = r.switched_ns - saved_ns;
        held[i] = worst_ns > r.worst_ns ? worst_ns : r.worst_ns;
    }
    print(&r, taken, held, control);
    return 0;
}
