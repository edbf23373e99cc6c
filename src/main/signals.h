/* What signals mean to the process. */
#pragma once

struct server;

/* Writing to a peer that is gone is an error that is returned, not a signal. To be called before
 * anything writes. */
void signals_init(void);

/* SIGTERM and SIGINT drain the server; when it drains already they end the process at once, with the
 * status 128 + the signal's number, as shells report it. SIGHUP keeps its default. */
void signals_start(struct server *s);
