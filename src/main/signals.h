/* What signals mean to the process. */
#pragma once

struct server;

/* Writing to a peer that is gone is an error that is returned, not a signal. To be called before
 * anything writes. */
void signals_init(void);

/* SIGTERM and SIGINT drain the server; when it drains already they do what they do by default: end
 * the process at once, so that whoever waits for it sees which signal it was (a shell's 143 or 130).
 * SIGHUP keeps its default. */
void signals_start(struct server *s);
