/* What the command line asks for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    const char *mode;
    const char *path;
    uint16_t port; /* always on 127.0.0.1 */
    bool tls;
    bool raw; /* no WebSocket: the same frame bytes over plain TCP, for bench/raw.c */
    bool binary;
    bool close_by_tcp;    /* handshake: end with FIN instead of a close frame */
    unsigned connections; /* echo, fanout, idle; concurrency of handshake */
    unsigned inflight;    /* echo: unanswered messages per connection */
    unsigned messages;    /* echo: of each connection, at least inflight; 0: as the time allows */
    unsigned idle;        /* further connections that stay silent meanwhile */
    unsigned publishers;  /* fanout: how many publish at the same time */
    unsigned burst;       /* fanout: publishes sent in one write */
    unsigned count;       /* startup, reload: how often */
    double rate;          /* reload: messages a second, over all connections */
    const char *edit;     /* reload: the app's file */
    size_t size;          /* payload bytes */
    double seconds;
    double warmup_seconds;
    pid_t pid;      /* the server, or 0: then its CPU and memory are not reported */
    int server_cpu; /* startup: the core the server is bound to, or -1 */
    char **command; /* startup: the server's argv */
};
