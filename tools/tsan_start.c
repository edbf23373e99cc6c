/* Linked into the build for TSan only. Its runtime makes a thread's record of pending signals in the
 * thread's first blocking call, and forgets a signal that comes just then (GCC 12, SigCtx). Here
 * that call comes before anybody can know the process, so no SIGTERM of a spec is lost. */
#include <unistd.h>

void tsan_start(void) __attribute__((constructor));

void tsan_start(void)
{
    usleep(1);
}
