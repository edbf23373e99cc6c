/* The modes: each runs to its end, prints its JSON on stdout and returns the exit status. */
#pragma once

#include "options.h"

int echo_run(const struct options *o);
int fanout_run(const struct options *o);
int handshake_run(const struct options *o);
int idle_run(const struct options *o);
int reload_run(const struct options *o);
int startup_run(const struct options *o);
int wait_run(const struct options *o);
