/* System calls of sockets, straight to the kernel.
 *
 * In a process with threads the C library's recv and send are points where a thread can be cancelled,
 * and say so in its own memory before and after: four locked instructions for each message. Nothing here
 * cancels threads. Arguments, results and errno are theirs. */
#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizers look at what the C library's are given. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

static inline ssize_t call_recv(int fd, void *into, size_t len)
{
    return recv(fd, into, len, 0);
}

static inline ssize_t call_send(int fd, const void *data, size_t len, int flags)
{
    return send(fd, data, len, flags);
}

#else

static inline ssize_t call_recv(int fd, void *into, size_t len)
{
    return syscall(SYS_recvfrom, fd, into, len, 0, NULL, NULL);
}

static inline ssize_t call_send(int fd, const void *data, size_t len, int flags)
{
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

#endif
