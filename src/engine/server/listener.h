/* A listening socket in a loop: accepts, and hands each connection to its owner's function. With
 * one worker the worker listens itself; with several the main thread does, and deals connections
 * out to the worker that has the fewest. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "transport/address_range.h"
#include "transport/tcp.h"
#include "transport/tcp_listen.h"
#include "transport/tls.h"

struct listener {
    ev_io io;
    ev_timer pause; /* the system is out of descriptors: try again later */
    ev_async stop;  /* listener_ask_stop */
    struct ev_loop *loop;
    const struct log *log;
    struct listening socket;     /* owned; its fd is -1 once stopped */
    _Atomic uint32_t references; /* its owner's, and those of letters on their way */
    pthread_mutex_t lock;
    /* Owned; NULL: plain. Under the lock, but for the main thread's reads, as is the next. */
    struct tls_context *tls;
    struct address_ranges proxies; /* who may connect, with a PROXY header; none: everybody */
    char *key;                     /* owned: what the app asked for, to know it again */
    uint32_t group;                /* the same for the sockets of one address */
    /* Takes over the socket. In the thread of the loop. */
    void (*on_accept)(struct listener *l, int fd, const struct address *peer);
    void *owner;         /* for on_accept */
    bool out_of_files;   /* said so, and has not accepted since */
    ev_tstamp warned_at; /* listener_may_warn */
    char address[128];   /* "http://localhost:8080", "unix:/run/x.sock", for people */
};

/* A listener that does not listen yet. The socket and the context are its own from now on, also on
 * failure. NULL when out of memory. */
struct listener *listener_new(const struct listening *socket, struct tls_context *tls,
                              const struct log *log);
struct listener *listener_ref(struct listener *l);
/* With the last reference stops it too, so not while another thread runs its loop. NULL is
 * allowed. */
void listener_unref(struct listener *l);
/* New connections use this context from now on, which is the listener's own then, and come from
 * these proxies. The main thread. */
void listener_set(struct listener *l, struct tls_context *tls,
                  const struct address_ranges *proxies);

enum listener_entry {
    LISTENER_OPEN,    /* the peer may connect */
    LISTENER_PROXIED, /* the peer is a proxy that may connect: its PROXY header comes first */
    LISTENER_CLOSED   /* only proxies may connect, and the peer is none of them */
};
/* May this peer connect? From any thread. */
enum listener_entry listener_entry(struct listener *l, const struct address *peer);

/* Returns a reference to the context for a new connection; NULL: it is plain. From any thread. */
struct tls_context *listener_tls(struct listener *l);

/* The listener accepts in this loop, which is the calling thread's or does not run yet. */
void listener_start(struct listener *l, struct ev_loop *loop);
/* In the thread of the loop, or when that has ended: closes the socket; the file that a unix
 * socket made is removed. Idempotent. */
void listener_stop(struct listener *l);
/* From any thread: stops it soon, in the thread of its loop. */
void listener_ask_stop(struct listener *l);

/* Returns true at most once a second: for log lines that a peer can cause. */
bool listener_may_warn(struct listener *l);
