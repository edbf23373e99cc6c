/* From OpenSSL's SSL to records of our own, when a TLS 1.3 handshake is done on the server's side.
 *
 * OpenSSL says the traffic secrets through the callback that is meant for key logs, and what records
 * it wrote and read with them through the one for messages: so the sequence numbers are counted, not
 * guessed. Where anything is not as expected the SSL stays, which is always right. */
#pragma once

struct ssl_st;
struct tls_ciphers;
struct tls_session;

/* For SSL_CTX_set_keylog_callback, in every SSL_CTX that a server's connection may have. Writes no log. */
void tls_takeover_note_secret(const struct ssl_st *ssl, const char *line);

/* Before the handshake. ciphers: as tls_accept. Out of memory means that the SSL stays. */
void tls_takeover_begin(struct tls_session *s, struct tls_ciphers **ciphers);
/* When the handshake is done and what it made is sent or in unsent: s has traffic instead of an SSL,
 * or an SSL as before. */
void tls_takeover_finish(struct tls_session *s);
/* Clears what is known of a handshake that came to no end. None is allowed. */
void tls_takeover_forget(struct tls_session *s);
