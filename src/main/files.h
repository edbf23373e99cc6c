/* File descriptors: what the system gives the process, and what it does with them. */
#pragma once

#include <stdint.h>

/* Raises the limit on open files as far as the process may, and returns it. */
uint64_t files_raise(void);
/* The fewest that so many workers can start with. */
uint64_t files_needed(uint32_t workers);
/* Connections that a limit leaves room for, beside what the process itself and the files that it
 * serves need. */
uint32_t files_connections(uint64_t limit, uint32_t workers);
