/* Client connections: TCP or TLS, upgraded to WebSocket or left raw. */
#pragma once

#include "options.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn {
    int fd;
    SSL *ssl;       /* NULL when plain */
    bool want_send; /* EPOLLOUT is armed */
};

/* One TLS context for the whole run. Certificates are not verified: the server's is self-signed,
 * and the client's work is not what is measured. NULL when o->tls is false. */
SSL_CTX *conn_tls_new(const struct options *o);

/* A socket bound to 127.0.0.(2 + index / 20,000): one address has 28,000 ports to leave from. */
int conn_socket(unsigned index, int flags);

/* True when connected, false when under way or refused: errno says which. */
bool conn_try(int fd, uint16_t port);

/* The upgrade request. offer_deflate asks for permessage-deflate without context takeover. */
size_t conn_request(char *out, size_t room, const struct options *o, bool offer_deflate);

/* The reply's head, if head[0..len) holds it whole: its size; 0 when more is needed. Fails when it
 * is not a 101 that accepts our key (RFC 6455 §4.2.2). */
size_t conn_check_reply(const char *head, size_t len, bool offered_deflate);

/* Opens, upgrades (unless raw) and only then makes it non-blocking. */
void conn_open(struct conn *c, unsigned index, const struct options *o, SSL_CTX *tls,
               bool offer_deflate);

/* Opens n of them, numbered from first. */
struct conn *conn_open_all(unsigned first, unsigned n, const struct options *o, SSL_CTX *tls);

/* > 0: bytes; 0: would block; < 0: the other side has ended or failed. */
ssize_t conn_read(struct conn *c, void *data, size_t room);
ssize_t conn_write(struct conn *c, const void *data, size_t len);

/* More can be read although the socket is silent: bytes that TLS has taken already. */
bool conn_has_more(const struct conn *c);

/* Adds to epoll (level-triggered, for reading), and arms or disarms EPOLLOUT. */
void conn_watch(int epoll, struct conn *c, void *owner);
void conn_want_send(int epoll, struct conn *c, void *owner, bool want);
