/* A client's sessions to resume: a short list for each of some servers. */
#include "transport/tls_tickets.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct list {
    SSL_SESSION *sessions[TLS_TICKETS]; /* the newest last */
    unsigned count;
};

void tls_tickets_init(struct tls_tickets *t)
{
    map_init(&t->by_server);
}

static void list_free(struct list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        SSL_SESSION_free(list->sessions[i]);
    free(list);
}

void tls_tickets_deinit(struct tls_tickets *t)
{
    size_t at = 0;
    struct map_entry entry;
    while (map_next(&t->by_server, &at, &entry))
        list_free(entry.value);
    map_deinit(&t->by_server);
}

static struct list *find(const struct tls_tickets *t, const char *server)
{
    return map_get(&t->by_server, server, strlen(server));
}

/* The server's list, made where there is none. NULL when out of memory. */
static struct list *find_or_make(struct tls_tickets *t, const char *server)
{
    struct list *list = find(t, server);
    if (list)
        return list;
    if (t->by_server.count >= TLS_TICKET_SERVERS) {
        tls_tickets_deinit(t);
        tls_tickets_init(t);
    }
    list = calloc(1, sizeof(*list));
    if (list && map_put(&t->by_server, server, strlen(server), list)) {
        free(list);
        return NULL;
    }
    return list;
}

void tls_tickets_keep(struct tls_tickets *t, const char *server, SSL_SESSION *session)
{
    struct list *list = find_or_make(t, server);
    if (!list) {
        SSL_SESSION_free(session);
        return;
    }
    assert(list->count <= TLS_TICKETS);
    if (list->count == TLS_TICKETS) {
        SSL_SESSION_free(list->sessions[0]);
        list->count--;
        memmove(list->sessions, list->sessions + 1, list->count * sizeof(list->sessions[0]));
    }
    list->sessions[list->count++] = session;
}

bool tls_tickets_has(const struct tls_tickets *t, const char *server)
{
    const struct list *list = find(t, server);
    return list && list->count > 0;
}

/* When a session is resumed, nobody looks at the certificate again, so it must be valid still. */
static bool is_fresh(const SSL_SESSION *session)
{
    X509 *certificate = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
    long age = (long)time(NULL) - SSL_SESSION_get_time(session);
    return SSL_SESSION_is_resumable(session) && age >= 0 && age < TLS_TICKET_SECONDS &&
           age < SSL_SESSION_get_timeout(session) && certificate &&
           X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

void tls_tickets_offer(struct tls_tickets *t, const char *server, SSL *ssl)
{
    struct list *list = find(t, server);
    while (list && list->count > 0) {
        SSL_SESSION *session = list->sessions[--list->count];
        bool offered = is_fresh(session) && SSL_set_session(ssl, session) == 1;
        SSL_SESSION_free(session);
        if (offered)
            return;
    }
}
