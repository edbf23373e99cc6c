/* Who goes when the connections of the process hold more than memory_bytes: the largest first. */
#pragma once

#include "engine/worker/worker.h"

/* Looks whether the process holds too much. The largest connections are then closed with 1013; a
 * worker that has larger ones is asked to do so. Connections may be dead after it. */
void conn_relieve(struct worker *w);
