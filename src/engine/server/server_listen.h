/* From what an app declares to sockets that listen. In the main thread. */
#pragma once

#include "engine/server/server.h"

/* Opens the listeners, each in a thread's loop, and logs their addresses. The workers have their
 * sites. On failure nothing stays open and why says what to do in one line. */
int server_listen(struct server *s, const struct site_listener *listeners, size_t listeners_len,
                  char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* Could they be opened, as far as their certificates and keys go? 0 or an error as above. */
int server_check(const struct server *s, const struct site_listener *listeners,
                 size_t listeners_len, char why[SERVER_WHY_BYTES])
    __attribute__((warn_unused_result));

/* What a reload makes of a listener, */
struct listen_next {
    struct tls_context *tls;
    struct address_ranges proxies;
    bool fresh;
};

/* and of all. */
struct listen_plan {
    struct listener **listeners; /* the next ones, kept and new */
    struct listen_next *next;    /* by listener: what it uses then */
    size_t count;
};

/* Finds the listeners that both have, and opens those that are new, which do not accept yet. A
 * certificate that cannot be taken up leaves a kept listener its old one: that is logged and
 * counted. 0; or an error with one line in why, and nothing has changed. */
int server_plan_listeners(struct server *s, struct listen_plan *plan,
                          const struct site_listener *listeners, size_t listeners_len,
                          char why[SERVER_WHY_BYTES]) __attribute__((warn_unused_result));
/* New listeners accept, those that are gone do not any more. Ends the plan, as does the other. */
void server_commit_listeners(struct server *s, struct listen_plan *plan);
void server_abandon_listeners(struct listen_plan *plan);
/* "https://localhost:8443", "unix:/run/x.sock": what people type to get there. */
void server_address(const struct site_listener *l, int port, char out[SERVER_ADDRESS_BYTES]);
