/* A worker goes from one site to the next, between two events: its connections stay as they are, with
 * what they have read by half and what they have not sent, and belong to the same routes as before. */
#pragma once

struct worker;

/* What a client is told (1012) whose route the next site does not have. */
extern const char handover_gone[];

/* w->next becomes w->site, and the script is told (w->commit), when the events that wait were handled.
 * The thread of the worker. */
void handover(struct worker *w);
