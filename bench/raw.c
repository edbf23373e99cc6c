/* The floor: what the kernel alone costs. No WebSocket, no parsing: epoll, recv, send.
 *   raw PORT          echo: sends back what it has read
 *   raw PORT fanout   sends what it has read from one connection to all of them, one send() each */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 512 * 1024, EVENTS = 1024 };

struct peer {
    int fd;
    unsigned index;
    char *rest; /* what the socket did not take; nothing is read meanwhile */
    size_t rest_at;
    size_t rest_size;
};

struct server {
    int epoll;
    int listener;
    bool fanout;
    struct peer **peers;
    unsigned count;
    unsigned room;
    char *buffer;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct server *s, int how, int fd, uint32_t events, void *owner)
{
    struct epoll_event e = {.events = events, .data.ptr = owner};
    if (epoll_ctl(s->epoll, how, fd, &e) != 0) {
        die("epoll_ctl");
    }
}

static void accept_all(struct server *s)
{
    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (s->count == s->room) {
            s->room = s->room ? s->room * 2 : 64;
            s->peers = realloc(s->peers, s->room * sizeof(struct peer *));
        }
        struct peer *p = calloc(1, sizeof *p);
        if (!p || !s->peers) {
            die("memory");
        }
        p->fd = fd;
        p->index = s->count;
        s->peers[s->count++] = p;
        watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, p);
    }
}

static void drop(struct server *s, struct peer *p)
{
    s->peers[p->index] = s->peers[--s->count];
    s->peers[p->index]->index = p->index;
    close(p->fd);
    free(p->rest);
    free(p);
}

static void echo(struct server *s, struct peer *p, const char *data, size_t size)
{
    ssize_t n = send(p->fd, data, size, MSG_NOSIGNAL);
    if (n == (ssize_t)size) {
        return;
    }
    if (n < 0 && errno != EAGAIN) {
        drop(s, p);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    p->rest_size = size - sent;
    p->rest_at = 0;
    p->rest = malloc(p->rest_size);
    if (!p->rest) {
        die("memory");
    }
    memcpy(p->rest, data + sent, p->rest_size);
    watch(s, EPOLL_CTL_MOD, p->fd, EPOLLOUT, p);
}

static void send_rest(struct server *s, struct peer *p)
{
    ssize_t n = send(p->fd, p->rest + p->rest_at, p->rest_size - p->rest_at, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        drop(s, p);
        return;
    }
    p->rest_at += n < 0 ? 0 : (size_t)n;
    if (p->rest_at == p->rest_size) {
        free(p->rest);
        p->rest = NULL;
        watch(s, EPOLL_CTL_MOD, p->fd, EPOLLIN, p);
    }
}

static void broadcast(struct server *s, const char *data, size_t size)
{
    for (unsigned i = 0; i < s->count; i++) {
        /* The client waits for every byte before it publishes again: a socket is never full. */
        if (send(s->peers[i]->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) {
            die("send");
        }
    }
}

static void on_readable(struct server *s, struct peer *p)
{
    ssize_t n = recv(p->fd, s->buffer, ROOM, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(s, p);
    } else if (n > 0 && s->fanout) {
        broadcast(s, s->buffer, (size_t)n);
    } else if (n > 0) {
        echo(s, p, s->buffer, (size_t)n);
    }
}

static void open_listener(struct server *s, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(s->listener, 4096) != 0) {
        die("listen");
    }
    watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, NULL);
}

int main(int argc, char **argv)
{
    struct server s = {.epoll = epoll_create1(EPOLL_CLOEXEC), .buffer = malloc(ROOM)};
    struct epoll_event events[EVENTS];
    struct rlimit files;
    if (argc < 2 || atoi(argv[1]) <= 0 || atoi(argv[1]) > 65535 || s.epoll < 0 || !s.buffer) {
        fputs("usage: raw PORT [fanout]\n", stderr);
        return 2;
    }
    s.fanout = argc > 2 && strcmp(argv[2], "fanout") == 0;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    open_listener(&s, argv[1]);
    for (;;) {
        int n = epoll_wait(s.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p) {
                accept_all(&s);
            } else if (p->rest) {
                send_rest(&s, p);
            } else {
                on_readable(&s, p);
            }
        }
    }
}
