/* How much memory this process may have: what the machine has, or less where its cgroup says so, as
 * in a container. */
#pragma once

#include <stdint.h>

/* In bytes: MemTotal of proc/meminfo, or the least limit of the process's memory cgroup and of
 * those above it (cgroup v2: memory.max; v1: memory.limit_in_bytes), whichever is less. Reads
 * files, so ask once. 0: nothing is known. */
uint64_t machine_memory(void);
/* The same with another folder in the place of "/": proc/ and sys/fs/cgroup/ are looked for in it.
 * root does not end with a slash; "" is the machine's own. */
uint64_t machine_memory_at(const char *root);
