#include "fail.h"
#include "modes.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: load MODE --port PORT [options] [-- server command]\n"
    "modes\n"
    "  echo        keep messages in flight on every connection\n"
    "  deflate     the same with permessage-deflate and JSON text\n"
    "  fanout      publish to all connections\n"
    "  handshake   connect, upgrade, close\n"
    "  idle        memory per silent connection (--pid)\n"
    "  reload      save --edit --count times, while messages come at --rate a second\n"
    "  startup     start the command, wait for its first answer\n"
    "  wait        until the port is listened on, for --seconds\n"
    "  free-port   print a port of 127.0.0.1 that nobody listens on\n"
    "options\n"
    "  --path /              --connections 64      --inflight 1       --size 20\n"
    "  --binary              --tls                 --raw              --seconds 1\n"
    "  --warmup 0.5          --pid PID             --idle 0           --publishers 1\n"
    "  --burst 1             --count 11            --server-cpu N     --close-by-tcp\n"
    "  --rate 2000           --edit app.lua\n"
    "  --messages N          of each connection, then it ends (echo)\n";

enum option_id {
    PATH = 1,
    PORT,
    CONNECTIONS,
    INFLIGHT,
    SIZE,
    BINARY,
    TLS,
    RAW,
    SECONDS,
    WARMUP,
    PID,
    IDLE,
    PUBLISHERS,
    BURST,
    COUNT,
    SERVER_CPU,
    CLOSE_BY_TCP,
    RATE,
    EDIT,
    MESSAGES
};

static const struct option OPTIONS[] = {{"path", 1, NULL, PATH},
                                        {"port", 1, NULL, PORT},
                                        {"connections", 1, NULL, CONNECTIONS},
                                        {"inflight", 1, NULL, INFLIGHT},
                                        {"size", 1, NULL, SIZE},
                                        {"binary", 0, NULL, BINARY},
                                        {"tls", 0, NULL, TLS},
                                        {"raw", 0, NULL, RAW},
                                        {"seconds", 1, NULL, SECONDS},
                                        {"warmup", 1, NULL, WARMUP},
                                        {"pid", 1, NULL, PID},
                                        {"idle", 1, NULL, IDLE},
                                        {"publishers", 1, NULL, PUBLISHERS},
                                        {"burst", 1, NULL, BURST},
                                        {"count", 1, NULL, COUNT},
                                        {"server-cpu", 1, NULL, SERVER_CPU},
                                        {"close-by-tcp", 0, NULL, CLOSE_BY_TCP},
                                        {"rate", 1, NULL, RATE},
                                        {"edit", 1, NULL, EDIT},
                                        {"messages", 1, NULL, MESSAGES},
                                        {NULL, 0, NULL, 0}};

static unsigned number(const char *text, unsigned least, unsigned most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-' || n < least || n > most) {
        fail("expected a number from %u to %u, not '%s'", least, most, text);
    }
    return (unsigned)n;
}

static double seconds(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || *end != '\0' || !(n >= 0 && n <= 3600)) {
        fail("expected seconds, 0 to 3600, not '%s'", text);
    }
    return n;
}

static void set(struct options *o, int option, const char *value)
{
    switch (option) {
    case PATH:
        o->path = value;
        break;
    case PORT:
        o->port = (uint16_t)number(value, 1, 65535);
        break;
    case CONNECTIONS:
        o->connections = number(value, 1, 1000000);
        break;
    case INFLIGHT:
        o->inflight = number(value, 1, 4096);
        break;
    case SIZE:
        o->size = number(value, 1, 1u << 28);
        break;
    case BINARY:
        o->binary = true;
        break;
    case TLS:
        o->tls = true;
        break;
    case RAW:
        o->raw = true;
        break;
    case SECONDS:
        o->seconds = seconds(value);
        break;
    case WARMUP:
        o->warmup_seconds = seconds(value);
        break;
    case PID:
        o->pid = (pid_t)number(value, 1, 1u << 30);
        break;
    case IDLE:
        o->idle = number(value, 0, 1000000);
        break;
    case PUBLISHERS:
        o->publishers = number(value, 1, 26);
        break;
    case BURST:
        o->burst = number(value, 1, 4096);
        break;
    case COUNT:
        o->count = number(value, 1, 1000);
        break;
    case SERVER_CPU:
        o->server_cpu = (int)number(value, 0, 1023);
        break;
    case CLOSE_BY_TCP:
        o->close_by_tcp = true;
        break;
    case MESSAGES:
        o->messages = number(value, 1, 1000000000);
        break;
    case RATE:
        o->rate = number(value, 1, 1000000);
        break;
    case EDIT:
        o->edit = value;
        break;
    default:
        fputs(USAGE, stderr);
        exit(2);
    }
}

static void allow_many_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Below the range of outgoing ports, so that no other client takes it meanwhile, and so that a
 * connect that is tried again and again cannot meet itself. */
static int free_port_run(const struct options *o)
{
    (void)o;
    for (unsigned i = 0; i < 10000; i++) {
        uint16_t port = (uint16_t)(20000 + ((unsigned)getpid() * 7 + i) % 12000);
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int taken = bind(fd, (struct sockaddr *)&at, sizeof at);
        close(fd);
        if (taken == 0) {
            printf("%u\n", port);
            return 0;
        }
    }
    fail("no free port");
}

static const struct {
    const char *name;
    int (*run)(const struct options *o);
} MODES[] = {{"echo", echo_run},           {"deflate", echo_run}, {"fanout", fanout_run},
             {"handshake", handshake_run}, {"idle", idle_run},    {"reload", reload_run},
             {"startup", startup_run},     {"wait", wait_run},    {"free-port", free_port_run}};

int main(int argc, char **argv)
{
    struct options o = {.path = "/",
                        .connections = 64,
                        .inflight = 1,
                        .size = 20,
                        .publishers = 1,
                        .burst = 1,
                        .count = 11,
                        .seconds = 1,
                        .warmup_seconds = 0.5,
                        .rate = 2000,
                        .server_cpu = -1};
    int option;
    while ((option = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1) {
        set(&o, option, optarg);
    }
    if (optind < argc) {
        o.mode = argv[optind++];
        while ((option = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1) {
            set(&o, option, optarg);
        }
        o.command = optind < argc ? argv + optind : NULL;
    }
    allow_many_files();
    for (unsigned i = 0; o.mode && i < sizeof MODES / sizeof *MODES; i++) {
        if (strcmp(o.mode, MODES[i].name) == 0) {
            if (o.messages && o.messages < o.inflight) {
                fail("--messages is less than --inflight");
            }
            if (o.port == 0 && MODES[i].run != free_port_run) {
                fail("--port is missing");
            }
            return MODES[i].run(&o);
        }
    }
    fputs(USAGE, stderr);
    return 2;
}
