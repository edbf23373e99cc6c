/* What Lua may call, and what it reads: one declaration for C (which includes this file) and for
 * LuaJIT's ffi.cdef (which reads its text). None of these functions ever runs Lua: they queue, and
 * hooks start only from the loop.
 *
 * A connection is named by a handle, a whole number that fits a double: 20 bits of slot, 25 of
 * generation, 8 of worker; never 0. A stale handle gives ERR_CLOSED, never a crash. Strings are
 * borrowed for the call only. Functions return 0 or more, or a negative enum error.
 *
 * Every worker has these declarations in memory. What few of them call is in api_client.h and
 * api_control.h, and declared by the module that does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ground/event.h"

struct mw_worker; /* one event loop with its Lua state */
struct mw_site;   /* what one generation of an app serves */

/* ---- events: what the loop tells the dispatcher ------------------------------------------- */

/* Where the dispatcher finds each batch, all the worker's life long. */
struct event_batch *mw_batch(struct mw_worker *w);

/* Before and after ffi.string(data, len) of a long message whose event says that it has a block of its own:
 * the string then lies there and is not copied. From mw_string_begin on, data is for that string only. */
enum { MW_LONG_STRING = 16384 };
void mw_string_begin(struct mw_worker *w, const char *data, uint32_t len);
void mw_string_end(struct mw_worker *w);

/* ---- requests ----------------------------------------------------------------------------- */

/* The request that waits for its answer, or NULL when it was answered or is gone. Valid until the
 * answer. */
const struct request *mw_request_get(struct mw_worker *w, double conn, uint32_t serial);

/* Answer a request, or refuse an upgrade. headers: whole lines "Name: value\r\n" that
 * mw_header_append made. */
int mw_respond(struct mw_worker *w, double conn, uint32_t serial, uint32_t status,
               const char *headers, size_t headers_len, const char *body, size_t body_len);

/* Accept an upgrade. protocol: the subprotocol, NULL for what the route's list gave. EVENT_OPEN
 * follows. ERR_INVALID: the client did not offer that protocol. */
int mw_upgrade_accept(struct mw_worker *w, double conn, uint32_t serial, const char *protocol,
                      size_t protocol_len, const char *headers, size_t headers_len);

/* Checks one header and writes "Name: value\r\n" to out. Returns the length; ERR_INVALID when it is
 * malformed or one that the server writes itself; ERR_TOO_BIG when it needs more than size. */
int mw_header_append(char *out, size_t size, const char *name, size_t name_len, const char *value,
                     size_t value_len);

/* Percent-decoding, in to out (may be the same). Length; ERR_INVALID for a broken escape, ERR_UTF8
 * for bytes that are no text: what apps get can always be sent on. plus: + is a blank. */
long mw_url_decode(char *out, const char *in, size_t len, int plus);

/* ---- WebSockets --------------------------------------------------------------------------- */

/* How a message is sent. */
enum mw_message {
    MW_MESSAGE_TEXT,
    MW_MESSAGE_BINARY,
    MW_MESSAGE_CHECKED_TEXT /* the caller has it from the network: it is UTF-8 */
};

/* Queue one message, of kind enum mw_message. Returns 1 when the system has refused output and on_drain will tell when it is
 * taken, 0 otherwise; ERR_CLOSED, ERR_LIMIT (queued_bytes: the connection is being closed 1008),
 * ERR_UTF8 (text that is not UTF-8; nothing is sent), ERR_MEMORY. */
int mw_send(struct mw_worker *w, double conn, const char *data, size_t len, int kind);
/* The closing handshake. code 1005: an empty Close frame. ERR_CLOSED when closing already; ERR_UTF8:
 * the reason is not UTF-8, and nothing was done. */
int mw_close(struct mw_worker *w, double conn, int code, const char *reason, size_t reason_len);
/* Close at once, without a handshake; EVENT_CLOSE with 1006 follows. */
int mw_terminate(struct mw_worker *w, double conn);
int mw_ping(struct mw_worker *w, double conn, const char *data, size_t len);
/* CONNECTING 0, OPEN 1, CLOSING 2, CLOSED 3 (also for a stale handle). */
int mw_ready_state(struct mw_worker *w, double conn);
/* Bytes of messages that the system has not taken, as they were sent: not compressed, without
 * headers; and those that were thrown away. 0 for a stale handle. */
double mw_buffered_amount(struct mw_worker *w, double conn);
/* Hands queued output to the system now, not at the end of the turn. */
void mw_flush(struct mw_worker *w, double conn);
/* The script has come to EVENT_CLOSE: what it sends from now on is too late, also where the peer's
 * Close came right behind messages and is answered after what answers them. */
void mw_close_met(struct mw_worker *w, double conn);
/* Stop and go on reading from the socket, while a hook waits. */
int mw_pause(struct mw_worker *w, double conn);
int mw_resume(struct mw_worker *w, double conn);

/* What a connection was opened with. Fills *out, *len with a text that is valid until the next
 * call; ERR_CLOSED for a stale handle. */
enum mw_text {
    MW_TEXT_REMOTE_ADDRESS, /* "127.0.0.1" */
    MW_TEXT_PROTOCOL,
    MW_TEXT_EXTENSIONS,
    MW_TEXT_URL,    /* ws://host/path?query as the client asked; of one that the script opened, as
                     * mw_url_serialize has it */
    MW_TEXT_PATH,   /* still encoded */
    MW_TEXT_QUERY,  /* still encoded */
    MW_TEXT_HEADERS /* lines "name: value\n", names in lower case; without those that make up the
                      * handshake (Upgrade, Connection, Sec-WebSocket-*). Of the request; of a
                      * connection that the script opened, of the answer. Those
                      * of one name in their order */
};
int mw_text(struct mw_worker *w, double conn, int which, const char **out, size_t *len);
/* The i-th parameter of the route's pattern, still encoded; ERR_NOT_FOUND past the last. */
int mw_param(struct mw_worker *w, double conn, uint32_t i, const char **out, size_t *len);
/* The route of an open connection, or a negative error: ERR_NOT_FOUND for one that the script opened. */
int mw_route(struct mw_worker *w, double conn);

/* ---- connections that the script opens (api_client.h) ----------------------------------------
 * From EVENT_OPEN on they are as those of the server: mw_send, mw_close, mw_ping, mw_terminate,
 * mw_pause, mw_resume, mw_buffered_amount, mw_text, mw_subscribe and mw_publish are the same. */

enum { MW_NO_ROUTE = -1 }; /* event.route of a connection that the script opened */

/* Logs the text of the EVENT_ERROR of one that has failed, with the URL: at debug level when some code of
 * the app hears of it, else as a warning. */
void mw_connect_failed(struct mw_worker *w, double conn, const char *text, size_t len, bool heard);
/* Ends the process with this status (0..255) when this turn is over, without closing handshakes. What
 * the script has sent is handed to the system first. */
void mw_exit(struct mw_worker *w, int status);

/* ---- topics ------------------------------------------------------------------------------- */

/* 1: done; 0: it was so already; ERR_LIMIT (subscriptions), ERR_CLOSED, ERR_MEMORY. */
int mw_subscribe(struct mw_worker *w, double conn, const char *topic, size_t len);
int mw_unsubscribe(struct mw_worker *w, double conn, const char *topic, size_t len);
/* To every subscriber in every worker, but not to the connection except (0: no exception). */
int mw_publish(struct mw_worker *w, double except, const char *topic, size_t topic_len,
               const char *data, size_t len, int kind);
/* Subscribers in this worker. */
int mw_subscribers(struct mw_worker *w, const char *topic, size_t len);

/* ---- timers, log, counters ---------------------------------------------------------------- */

/* EVENT_TIMER after so many seconds, then every so many (0: once). Returns the id (> 0), or an error. */
double mw_timer_start(struct mw_worker *w, double after_seconds, double every_seconds);
int mw_timer_stop(struct mw_worker *w, double id);

/* EVENT_INPUT, once, when the descriptor can be read without blocking or is at its end; it keeps a
 * script alive until then. ERR_LIMIT: another one is waited for. */
int mw_input(struct mw_worker *w, int fd);
void mw_input_stop(struct mw_worker *w);

/* level: 0 debug, 1 info, 2 warn, 3 error. fields: JSON members without braces. */
void mw_log(struct mw_worker *w, int level, const char *text, size_t len, const char *fields,
            size_t fields_len);
/* The i-th counter's name, or NULL; its value summed over all workers. */
const char *mw_counter_name(uint32_t i);
double mw_counter(struct mw_worker *w, uint32_t i);
/* A hook, handler, timer, task or listener of this generation failed: counts it. text: what failed, and
 * why, with the traceback. */
void mw_hook_failed(struct mw_worker *w, uint32_t generation, const char *text, size_t len);
/* This worker's number, from 0, and how many there are. */
int mw_worker_index(struct mw_worker *w);
int mw_worker_count(struct mw_worker *w);
/* Load the app again, soon. */
void mw_reload(struct mw_worker *w);
/* The generation before shall serve again, soon. */
void mw_rollback(struct mw_worker *w);
/* During the commit. Why the generation that has served until now is taken back, valid for this call;
 * NULL: it is not, but replaced by a newer one. */
const char *mw_taken_back(struct mw_worker *w);
/* During the commit: it has failed its probation, so that the one before it is kept instead. */
bool mw_failed_probation(struct mw_worker *w);
/* A slice of the search through connections that follows a commit: it begins, has lasted as long as it
 * may, and ends (engine/run/handover.h). */
void mw_search_begin(struct mw_worker *w);
bool mw_search_is_over(struct mw_worker *w);
void mw_search_end(struct mw_worker *w);
/* How long the reload that brought what serves has held up this worker's events, in milliseconds; during
 * the commit, the one before. Returns what the longest pause was spent on (engine/run/pauses.h), or
 * NULL: nothing was reloaded yet. */
struct mw_pauses {
    double longest_ms;
    double longest_cpu_ms;
    double commit_ms;
    double commit_cpu_ms;
};
const char *mw_pauses(struct mw_worker *w, struct mw_pauses *out);
/* The server's WebSockets, by slots: the handle of the first one that is not closed from *slot on, with
 * the generation in which it was opened, and *slot is the one behind it; 0: there is none. */
double mw_next_open(struct mw_worker *w, uint32_t *slot, uint32_t *generation);
/* The generation in which a connection was opened, or a negative error. */
int mw_opened_in(struct mw_worker *w, double conn);
/* SHA-1 in hexadecimal digits, with a NUL. */
void mw_digest(const char *data, size_t len, char out[41]);
/* End the process as SIGTERM does. */
void mw_stop(struct mw_worker *w);

/* ---- sites: what an app's top level declares ------------------------------------------------
 * Lua collects the plan and then declares it here. Errors leave a text in mw_site_error. */

const char *mw_site_error(const struct mw_site *s);

/* One route. methods: a mask of enum http_method, or HTTP_WEBSOCKET. Returns its index. */
int mw_site_route(struct mw_site *s, const char *pattern, size_t len, uint32_t methods);
/* A folder served under the prefix (GET and HEAD). base: the folder that relative names start from. */
int mw_site_static(struct mw_site *s, const char *prefix, size_t prefix_len, const char *folder,
                   size_t folder_len);
/* A limit of struct limits by name; route -1: the app's (before its routes copy them at commit). */
int mw_site_limit(struct mw_site *s, int route, const char *name, double value);
/* Of WebSocket routes. */
int mw_site_protocol(struct mw_site *s, int route, const char *name, size_t len);
int mw_site_origin(struct mw_site *s, int route, const char *origin, size_t len);
/* permessage-deflate: names of struct deflate_options; value 0/1 for the booleans. */
int mw_site_compress(struct mw_site *s, int route, const char *name, double value);
/* Does the route have on_upgrade? May be called later too. */
int mw_site_upgrade(struct mw_site *s, int route, bool has_hook);
/* A listener: host NULL is loopback, "*" every address, "unix:/path" a local socket. Returns its
 * index. */
int mw_site_listen(struct mw_site *s, const char *host, int port);
/* A certificate of a listener, which makes it TLS; several are chosen by SNI. */
int mw_site_certificate(struct mw_site *s, int listener, const char *cert_path,
                        const char *key_path);
/* The development certificate for localhost, made when there is none. */
int mw_site_dev_certificate(struct mw_site *s, int listener);
/* EVENT_RELOAD for its open connections when another site takes over. */
int mw_site_eager(struct mw_site *s, int route, bool eager);
/* A file that the app is made of, with the digest of what was read; "": it was looked for in vain. site
 * NULL: of the app that serves. */
int mw_site_file(struct mw_worker *w, struct mw_site *s, const char *path, const char *digest);
/* While the app is loaded again: what was read from the file at path before that, and its length; NULL: it
 * was not. */
const char *mw_source_text(struct mw_worker *w, const char *path, size_t *len);
/* The lines of a text from the first one on (from 1), so many of them, without the last one's end. *at is
 * where they begin; their length, or ERR_NOT_FOUND. */
long mw_lines(const char *text, size_t len, uint32_t first, uint32_t count, const char **at);
/* The site that serves has taken over from another. The index there of its i-th route, when that is
 * kept only for what was under way on it; ERR_INVALID: it is a declared one; ERR_NOT_FOUND: past the
 * last. */
int mw_route_was(struct mw_worker *w, uint32_t i);
/* The number of the generation that serves, from 1. */
int mw_generation(struct mw_worker *w);

/* ---- the dev overlay (engine/reload/overlay.h) ----------------------------------------------- */

/* The paths of its WebSocket and of its script. */
const char *mw_overlay_path(int script);
/* Shall pages of this site have it? 1: in watch mode, when it serves a folder; 0 otherwise. */
int mw_overlay_wanted(struct mw_worker *w, const struct mw_site *s);
/* Its routes are declared: HTML files are answered with its tag. */
void mw_site_overlay(struct mw_site *s);
/* A page is there: the connection hears of what pages are told. */
void mw_overlay_join(struct mw_worker *w, double conn);
/* Pages are told of a hook that failed, as the log is. */
void mw_overlay_fault(struct mw_worker *w, const char *text, size_t len);
