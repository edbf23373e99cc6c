/* What the process does when it gets a signal. */
#pragma once

struct server;

/* Writing to a peer that is gone returns an error from here on and does not end the process. To be
 * called before anything writes. */
void signals_init(void);

/* SIGTERM and SIGINT drain the server. While it drains, another one that comes a second or more
 * after the drain began ends the process at once by the signal's default action, so that whoever
 * waits for it sees which signal it was (143 or 130 in a shell); sooner, it does nothing. SIGHUP
 * reloads the app; it ends a script, as is its default. */
void signals_start(struct server *s);
