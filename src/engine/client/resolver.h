/* Names to addresses without blocking a loop: getaddrinfo on a few threads, which begin with the
 * first question. The answer comes to the asking worker as a letter. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "transport/tcp.h"

enum {
    RESOLVER_THREADS_MAX = 16, /* a name whose servers are silent holds one up for long */
    RESOLVER_QUEUE_MAX = 16384,
    RESOLVER_ADDRESSES_MAX = 16 /* of one name; more are not tried */
};

struct mailbox;
struct worker;
struct resolver;

struct resolver_answer {
    double asker;    /* who asked: the number that was given */
    const char *why; /* NULL, or a static text: no address was found */
    uint32_t count;
    struct address addresses[RESOLVER_ADDRESSES_MAX]; /* in the order in which the system would try
                                                       * them; port as asked */
};

/* For all threads of the process; NULL when out of memory. */
struct resolver *resolver_new(void);
/* No answer comes after it. Threads that wait for the system end when it answers. */
void resolver_free(struct resolver *r);

/* In the thread of the worker that asked. */
typedef void resolver_reader(struct worker *w, const struct resolver_answer *answer);

struct resolver_question {
    const char *name;
    uint16_t port;
    double asker;          /* comes back with the answer */
    struct mailbox *to;    /* must live until resolver_free */
    resolver_reader *read; /* called with the answer */
};

/* Asks for the addresses of a name, from any thread. 0; ERR_LIMIT (too many questions wait, or no
 * thread can begin); ERR_MEMORY. */
int resolver_ask(struct resolver *r, const struct resolver_question *question)
    __attribute__((warn_unused_result));

/* Posts an answer that is known already, as if it had been looked up. 0 or ERR_MEMORY. */
int resolver_answer_later(const struct resolver_answer *known, struct mailbox *to,
                          resolver_reader *read) __attribute__((warn_unused_result));

/* What needs no look-up: an address in its text form, and "localhost" and names under it, which are
 * loopback always (RFC 6761 §6.3). 1 with *out (but for asker), else 0. */
int resolver_known(struct resolver_answer *out, const char *name, uint16_t port);
