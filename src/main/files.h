/* File descriptors: how many the system gives to the process, and what they are for. */
#pragma once

#include <stdint.h>

/* Raises the limit on open files as far as the process may, and returns it. */
uint64_t files_raise(void);
/* The fewest descriptors that this number of workers can start with. */
uint64_t files_needed(uint32_t workers);
/* The number of connections that this limit on descriptors leaves room for, beside those that the
 * process itself and the files that it serves need. */
uint32_t files_connections(uint64_t limit, uint32_t workers);
