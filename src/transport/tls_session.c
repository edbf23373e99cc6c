/* How TLS connections send, receive and fail. */
#include "transport/tls_session.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"

/* A write stops when something is unsent, so only answers to a peer that does not read get here. */
enum { UNSENT_MAX = 16 * TLS_RECORD_MAX };

int tls_fail(struct tls_session *s, int code, const char *text)
{
    assert(code == ERR_IO || code == ERR_CLOSED);
    if (s->failure == 0) {
        s->failure = (int8_t)code;
        s->error = text ? text : "unknown error";
    }
    return s->failure;
}

static int fail_errno(struct tls_session *s)
{
    return tls_fail(s, errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_IO,
                    strerrordesc_np(errno));
}

static int send_now(struct tls_session *s, const uint8_t *data, size_t len, size_t *sent)
{
    *sent = 0;
    while (*sent < len) {
        ssize_t n = send(s->fd, data + *sent, len - *sent, MSG_NOSIGNAL);
        if (n >= 0)
            *sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        else if (errno != EINTR)
            return fail_errno(s);
    }
    return 0;
}

int tls_push(struct tls_session *s, const uint8_t *data, size_t len)
{
    size_t sent = 0;
    if (s->unsent.len == 0) {
        int err = send_now(s, data, len, &sent);
        if (err)
            return err;
    }
    if (sent == len)
        return 0;
    if (s->unsent.len + len - sent > UNSENT_MAX)
        return tls_fail(s, ERR_IO, "the peer does not read what TLS answers");
    if (buffer_append(&s->unsent, data + sent, len - sent))
        return tls_fail(s, ERR_IO, "out of memory");
    return 0;
}

int tls_flush_unsent(struct tls_session *s)
{
    if (s->unsent.len == 0)
        return 0;
    size_t sent;
    int err = send_now(s, s->unsent.data, s->unsent.len, &sent);
    if (err)
        return err;
    if (sent < s->unsent.len) {
        buffer_consume(&s->unsent, sent);
        return ERR_AGAIN;
    }
    buffer_deinit(&s->unsent); /* an idle connection keeps no buffer */
    return 0;
}

ssize_t tls_receive(struct tls_session *s, void *into, size_t len)
{
    ssize_t n;
    do {
        n = recv(s->fd, into, len, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0) {
        s->ended = true;
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return ERR_AGAIN;
    fail_errno(s);
    return ERR_IO;
}

/* To look costs less than to clear, and after a call that went well there is nothing. */
void tls_clear_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}
