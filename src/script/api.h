/* The functions that Lua may call, and the structs that it reads. C includes these headers and
 * LuaJIT's ffi.cdef reads their text, so that both have one declaration.
 *
 * A connection is named by a handle: a whole number that fits a double, made of 20 bits of slot, 25
 * of generation and 8 of worker; never 0. A stale handle gives ERR_CLOSED, never a crash.
 *
 * All functions belong to the worker's thread, and none of them ever runs Lua: they queue, and
 * hooks start only from the loop. Texts that Lua hands over are borrowed for the call only. Where
 * nothing else is said, functions return 0 or more, or a negative enum error. No C code calls them,
 * so they are not marked warn_unused_result.
 *
 * Every worker has these declarations in memory. Those of api_client.h, api_control.h,
 * api_names.h and api_options.h, which have few callers, are declared by the module that uses
 * them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/ground/event.h"
#include "script/api_reload.h"
#include "script/api_site.h"
#include "script/api_text.h"

/* ---- events: what the loop tells the dispatcher ---------------------------------------------- */

/* Returns the place where the dispatcher finds each batch, all the worker's life long. */
struct event_batch *mw_batch(struct worker *w);

/* Before and after ffi.string(data, len) of a message of at least MW_LONG_STRING bytes whose event
 * says that it has a block of its own: the string then lies in that block, and nothing is copied.
 * From mw_string_begin on, data may be read for that string only. */
enum { MW_LONG_STRING = 16384 };
void mw_string_begin(struct worker *w, const char *data, uint32_t len);
void mw_string_end(struct worker *w);

/* ---- requests -------------------------------------------------------------------------------- */

/* Returns the request that waits for its answer, valid until the answer; NULL: it was answered or
 * is gone. */
const struct request *mw_request_get(struct worker *w, double conn, uint32_t serial);

/* Answers a request, or refuses an upgrade. status: 200 to 599. headers: whole lines, each made by
 * mw_header_append. ERR_CLOSED: the request was answered or is gone; ERR_INVALID: another
 * status; ERR_MEMORY. */
int mw_respond(struct worker *w, double conn, uint32_t serial, uint32_t status, const char *headers,
               size_t headers_len, const char *body, size_t body_len);

/* Accepts an upgrade; EVENT_OPEN follows. protocol: the subprotocol, "" for none, NULL for the one
 * that the route's list gave. ERR_CLOSED: the request was answered or is gone; ERR_INVALID: the
 * peer did not offer this protocol, and the upgrade still waits; ERR_MEMORY. */
int mw_upgrade_accept(struct worker *w, double conn, uint32_t serial, const char *protocol,
                      size_t protocol_len, const char *headers, size_t headers_len);

/* ---- WebSockets ------------------------------------------------------------------------------ */

enum mw_message {
    MW_MESSAGE_TEXT,
    MW_MESSAGE_BINARY,
    MW_MESSAGE_CHECKED_TEXT /* text that came from the network, so that it is known to be UTF-8 */
};

/* Queues one message; kind: enum mw_message. Returns 0; or 1: the system has refused output, and
 * EVENT_DRAIN tells when it has taken all. ERR_CLOSED; ERR_UTF8: the text is not UTF-8, and
 * nothing is sent; ERR_LIMIT: over queued_bytes, and the connection is being closed with 1008;
 * ERR_MEMORY. */
int mw_send(struct worker *w, double conn, const char *data, size_t len, int kind);
/* Begins the closing handshake; a connection that is not open yet fails instead. code 1005 sends an
 * empty Close frame. ERR_UTF8: the reason is not UTF-8, and nothing was done; ERR_CLOSED: it is
 * closing already. */
int mw_close(struct worker *w, double conn, int code, const char *reason, size_t reason_len);
/* Closes at once, without a handshake; EVENT_CLOSE with 1006 follows. */
int mw_terminate(struct worker *w, double conn);
/* Queues a Ping with at most 125 bytes. ERR_CLOSED; ERR_TOO_BIG; ERR_MEMORY. */
int mw_ping(struct worker *w, double conn, const char *data, size_t len);
/* CONNECTING 0, OPEN 1, CLOSING 2, CLOSED 3; 3 for a stale handle too. */
int mw_ready_state(struct worker *w, double conn);
/* Returns the bytes of messages that were sent and that the system has not taken: before
 * compression, without frame headers. Messages that were dropped because the connection was closed
 * stay in it. 0 for a stale handle. */
double mw_buffered_amount(struct worker *w, double conn);
/* Hands queued output to the system now, instead of at the end of the turn. */
void mw_flush(struct worker *w, double conn);
/* The script has reached EVENT_CLOSE and can send no more. If the peer's Close came right behind
 * messages, it is answered now, so that the answers to these messages went out before it. */
void mw_close_met(struct worker *w, double conn);
/* Messages of so many bytes wait behind a hook that waits. */
void mw_inbox(struct worker *w, double conn, double bytes);
/* Stop reading from the socket while a hook waits, and go on. */
int mw_pause(struct worker *w, double conn);
int mw_resume(struct worker *w, double conn);

enum mw_text {
    MW_TEXT_REMOTE_ADDRESS, /* "127.0.0.1" */
    MW_TEXT_PROTOCOL,
    MW_TEXT_EXTENSIONS,
    MW_TEXT_URL,    /* "ws://host/path?query" as the peer asked for it; if the script opened the
                     * connection, as mw_url_serialize writes it */
    MW_TEXT_PATH,   /* still encoded */
    MW_TEXT_QUERY,  /* still encoded */
    MW_TEXT_HEADERS /* lines "name: value\n" of the request, or of the answer if the script opened
                     * the connection; names in lower case, those of one name in their order.
                     * Without those of the handshake: Upgrade, Connection, Sec-WebSocket-* */
};
/* Sets *out and *len to a text of the opening handshake, valid until the next call of any function;
 * which: enum mw_text. ERR_CLOSED; ERR_MEMORY. */
int mw_text(struct worker *w, double conn, int which, const char **out, size_t *len);
/* Sets *out and *len to parameter i, from 0, of the route's pattern, still encoded. ERR_NOT_FOUND:
 * i is behind the last one; ERR_CLOSED. */
int mw_param(struct worker *w, double conn, uint32_t i, const char **out, size_t *len);

/* ---- connections that the script opens (api_client.h) ---------------------------------------- */

/* From EVENT_OPEN on, all functions for WebSockets take them too. */

enum { MW_NO_ROUTE = -1 }; /* their event.route */

/* Logs the text of EVENT_ERROR of a connection that could not be opened, with its URL: at debug
 * level if code of the app hears of it (heard), else as a warning. */
void mw_connect_failed(struct worker *w, double conn, const char *text, size_t len, bool heard);

/* ---- topics ---------------------------------------------------------------------------------- */

/* Return 1, or 0 if nothing changed by it. ERR_LIMIT: over limits.subscriptions; ERR_TOO_BIG:
 * topic_bytes; ERR_IN_USE: topics; ERR_CLOSED; ERR_MEMORY. */
int mw_subscribe(struct worker *w, double conn, const char *topic, size_t len);
int mw_unsubscribe(struct worker *w, double conn, const char *topic, size_t len);
/* The script hears now that the connection ends: it gets nothing any more that is published. */
void mw_leave(struct worker *w, double conn);
/* Sends a message to every subscriber in every worker, except to the connection except (0: to all).
 * kind: enum mw_message. ERR_UTF8: the text is not UTF-8, and nothing is sent; ERR_TOO_BIG: no
 * topic has so long a name (topic_bytes); ERR_MEMORY. */
int mw_publish(struct worker *w, double except, const char *topic, size_t topic_len,
               const char *data, size_t len, int kind);
/* Returns the number of subscribers in this worker. */
int mw_subscribers(struct worker *w, const char *topic, size_t len);

/* ---- timers, input --------------------------------------------------------------------------- */

/* EVENT_TIMER comes after this time, and then again after every every_seconds if that is not 0.
 * Returns the id, a whole number > 0 that is never used again. ERR_INVALID: a time is negative, no
 * number or over thirty years; ERR_LIMIT: too many timers run; ERR_MEMORY. */
double mw_timer_start(struct worker *w, double after_seconds, double every_seconds);
/* ERR_NOT_FOUND: it has fired for the last time or was stopped. */
int mw_timer_stop(struct worker *w, double id);

/* EVENT_INPUT comes once, when the descriptor can be read without blocking or is at its end; until
 * then the process does not end for want of anything to wait for. ERR_LIMIT: another descriptor is
 * waited for. */
int mw_input(struct worker *w, int fd);
void mw_input_stop(struct worker *w);

/* ---- log, counters, the process -------------------------------------------------------------- */

/* Writes a line to the log. level: 0 debug, 1 info, 2 warn, 3 error. fields: JSON members, without
 * the braces around them. */
void mw_log(struct worker *w, int level, const char *text, size_t len, const char *fields,
            size_t fields_len);
/* The name of counter i, from 0; NULL behind the last one. */
const char *mw_counter_name(uint32_t i);
/* Its value, summed over all workers. */
double mw_counter(struct worker *w, uint32_t i);
/* Logs a failure of a hook, handler, timer, task or listener of this generation, and counts it,
 * which may take the generation back. cause: the connection whose event it was, or has led to it;
 * 0: nobody's, the app has done it by itself; MW_CAUSE_UNKNOWN, or a stale one: somebody's. text:
 * the error, with its traceback. place: what tells it from other failures; of several at one place
 * within a second the log has the first, and then their number. */
enum { MW_CAUSE_UNKNOWN = -1 };
void mw_hook_failed(struct worker *w, uint32_t generation, double cause, const char *place,
                    size_t place_len, const char *text, size_t len);
/* This worker's number, from 0, and the number of workers. */
int mw_worker_index(struct worker *w);
int mw_worker_count(struct worker *w);
/* Ends the process as SIGTERM does. */
void mw_stop(struct worker *w);
/* Ends the process with this status (0 to 255) at the end of the turn, without closing handshakes.
 * What the script has sent is handed to the system first. */
void mw_exit(struct worker *w, int status);
/* Says in one line on standard error why a script ends, as of an app that cannot begin. */
void mw_complain(struct worker *w, const char *why);
