/* From an accepted socket to a connection of a worker: admission, the choice of the worker, TLS. */
#pragma once

#include "engine/server/listener.h"

/* For listener.on_accept; l->owner is the server. Takes over the socket: it becomes a connection
 * of the worker that has the fewest, or is closed. */
void accept_peer(struct listener *l, int fd, const struct address *peer);
