/* What the end of a turn does with connections that have waited for it. */
#pragma once

struct worker;

/* Calls role->resume of all that wait for it (conn_resume_later). */
void conn_resume_all(struct worker *w);
/* Frees the dead ones that were flushed. */
void conn_free_dead(struct worker *w);
