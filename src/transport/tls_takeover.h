/* Takes a connection over from OpenSSL, when a TLS 1.3 handshake is done on the server's side, to
 * records of our own.
 *
 * OpenSSL tells the traffic secrets through its callback for key logs, and which records it wrote
 * and read with them through its callback for messages: so the sequence numbers are counted, not
 * guessed. Where anything is not as expected the SSL stays, which is always right. */
#pragma once

struct ssl_st; /* OpenSSL's SSL */
struct tls_ciphers;
struct tls_session;

/* For SSL_CTX_set_keylog_callback, in every SSL_CTX that a server's connection may have. It writes
 * no log. The SSL has a BIO of tls_bio.h. */
void tls_takeover_note_secret(const struct ssl_st *ssl, const char *line);

/* Call it before the handshake. *ciphers are of the thread that uses s; where they are NULL, they
 * are made when they are first needed. When out of memory, the SSL will stay. */
void tls_takeover_begin(struct tls_session *s, struct tls_ciphers **ciphers);
/* Call it when the handshake is done and all that it made is sent or unsent. Then s has traffic and
 * no SSL any more, or its SSL as before. */
void tls_takeover_finish(struct tls_session *s);
/* Clears what is known of a handshake that came to no end, if there is such. */
void tls_takeover_forget(struct tls_session *s);
