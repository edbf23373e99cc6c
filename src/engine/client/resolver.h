/* Finds the addresses of names without blocking a loop: getaddrinfo runs on a few threads, which
 * begin with the first question. The answer comes to the worker that asked as a letter. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "transport/tcp.h"

enum {
    RESOLVER_THREADS_MAX = 16, /* a name whose servers are silent occupies one for long */
    RESOLVER_QUEUE_MAX = 16384,
    RESOLVER_ADDRESSES_MAX = 16 /* of one name; the others are not tried */
};

struct mailbox;
struct worker;
struct resolver;

struct resolver_answer {
    double asker;    /* the number that came with the question */
    const char *why; /* a static text when no address was found, else NULL */
    uint32_t count;
    /* In the order in which the system would try them, with the port of the question. */
    struct address addresses[RESOLVER_ADDRESSES_MAX];
};

/* A resolver for all threads of the process. NULL when out of memory. */
struct resolver *resolver_new(void);
/* Ends the resolver: no answer is posted any more. A thread that waits for the system ends when
 * that answers. */
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

/* Answers what needs no look-up: an address in its text form, and "localhost" and names under it,
 * which are always loopback (RFC 6761 §6.3). 1 with all of *out but asker, or 0 when the name must
 * be asked for. */
int resolver_known(struct resolver_answer *out, const char *name, uint16_t port)
    __attribute__((warn_unused_result));
