/* The role of a connection: what it does in one of its states. A connection's socket, deadline and
 * output are the business of conn.c, which knows no protocol; what it speaks is asked of its role.
 * The rooms above fill one table of roles for each protocol, and run/life.c puts them into
 * w->roles.
 *
 * A member that is NULL does nothing. All are called in the worker's thread, none from Lua. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct worker;

struct conn_role {
    /* The socket is ready, and this state reads no bytes yet: a TLS handshake goes on. Where it is
     * NULL, bytes are read and written. */
    void (*ready)(struct worker *w, struct conn *c);
    /* len bytes came, in the worker's read arena; they may be changed. They are overwritten after
     * the call unless it adds len to w->in.used: then they stay until the batch is done. */
    void (*input)(struct worker *w, struct conn *c, uint8_t *data, size_t len);
    /* Returns how many bytes of a large message the peer still owes, and where they belong (*into);
     * 0: nothing is owed. Bytes that are read there are told to placed, not to input. */
    size_t (*place)(struct conn *c, uint8_t **into);
    void (*placed)(struct worker *w, struct conn *c, size_t len);
    /* The peer has ended its side. */
    void (*eof)(struct worker *w, struct conn *c);
    /* Reading failed, for the reason why; the connection is killed afterwards. */
    void (*lost)(struct worker *w, struct conn *c, const char *why);
    /* Its deadline has passed; none is set. */
    void (*expired)(struct worker *w, struct conn *c);
    /* The system has taken all output. was_refused: it had refused some before. */
    void (*emptied)(struct worker *w, struct conn *c, bool was_refused);
    /* The script has had what came in this turn: goes on after conn_resume_later. */
    void (*resume)(struct worker *w, struct conn *c);
    /* The server ends: lets the peer go. */
    void (*drain)(struct worker *w, struct conn *c);
    /* The peer broke a rule or a limit: ends with a close code and a text that is static. */
    void (*fail)(struct worker *w, struct conn *c, uint16_t code, const char *why);
    /* conn_kill: the connection has just died in this state. Tells the script, where it knows it.
     */
    void (*ended)(struct worker *w, struct conn *c);
    /* Returns the bytes that the connection holds beyond its output and what an idle one costs. */
    size_t (*held)(const struct conn *c);
    /* Frees what connections in this state own. Asked of every role when a connection is freed, so
     * it must do nothing for one that never was in this state. */
    void (*free)(struct worker *w, struct conn *c);
};
