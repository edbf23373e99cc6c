/* Sessions that a client may resume (RFC 8446 §2.2, RFC 5246 §7.3, RFC 5077), by the server that
 * gave them. Of one thread. Nothing here fails for want of memory: there is just less to resume. */
#pragma once

#include <stdbool.h>

#include "base/map.h"

struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct ssl_st;         /* OpenSSL's SSL */

enum {
    TLS_TICKETS = 4,           /* of one server, the newest */
    TLS_TICKET_SERVERS = 64,   /* one more, and all are forgotten */
    TLS_TICKET_SECONDS = 7200, /* the age at which one is not used any more */
};

struct tls_tickets {
    struct map by_server; /* the server's key to its list */
};

void tls_tickets_init(struct tls_tickets *t);
void tls_tickets_deinit(struct tls_tickets *t);

/* Keeps a session of this server (a text of the caller's choice), and takes the caller's reference
 * to it. */
void tls_tickets_keep(struct tls_tickets *t, const char *server, struct ssl_session_st *session);
/* Whether there is one for this server, of any age. */
bool tls_tickets_has(const struct tls_tickets *t, const char *server);
/* Takes the newest session of this server that is good still, and makes ssl offer it. It is offered
 * once: TLS 1.3 wants that (RFC 8446 §C.4), and so a session that fails is not met again. */
void tls_tickets_offer(struct tls_tickets *t, const char *server, struct ssl_st *ssl);
