/* Counts the locks that a program takes: LD_PRELOAD it, and BENCH_LOCKS names the file to which the end
 * of the program writes "taken waited". A lock is waited for when somebody else holds it.
 * (bench/scaling; what the C library locks inside of itself is not seen here, but among the locked
 * instructions that bench/scaling counts too.) */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic unsigned long taken, waited;

/* ISO C has no conversion from what dlsym returns to a function's pointer, POSIX has. */
static int call(_Atomic(void *) *known, const char *name, void *lock)
{
    void *found = atomic_load_explicit(known, memory_order_relaxed);
    if (!found) {
        found = dlsym(RTLD_NEXT, name);
        if (!found)
            abort();
        atomic_store_explicit(known, found, memory_order_relaxed);
    }
    int (*function)(void *);
    *(void **)&function = found;
    return function(lock);
}

static int take(int tried, _Atomic(void *) *known, const char *name, void *lock)
{
    atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
    if (tried != EBUSY)
        return tried;
    atomic_fetch_add_explicit(&waited, 1, memory_order_relaxed);
    return call(known, name, lock);
}

int pthread_mutex_lock(pthread_mutex_t *lock)
{
    static _Atomic(void *) tries, locks;
    return take(call(&tries, "pthread_mutex_trylock", lock), &locks, "pthread_mutex_lock", lock);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    static _Atomic(void *) tries, locks;
    return take(call(&tries, "pthread_rwlock_tryrdlock", lock), &locks, "pthread_rwlock_rdlock",
                lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    static _Atomic(void *) tries, locks;
    return take(call(&tries, "pthread_rwlock_trywrlock", lock), &locks, "pthread_rwlock_wrlock",
                lock);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("BENCH_LOCKS");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f)
        return;
    fprintf(f, "%lu %lu\n", atomic_load(&taken), atomic_load(&waited));
    fclose(f);
}
