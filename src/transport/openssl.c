#include "transport/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* Of tools/openssl_calls.lua: "libssl.so.3", as it was linked, which brings libcrypto; and the names of
 * the table, each with its NUL, in its order; an empty one ends them. The table has its pages for
 * itself. */
extern const char openssl_library[];
extern const char openssl_names[];
extern void *openssl_table[];
extern void *openssl_table_end[];

/* Nothing is reset, and nothing reads the table before its thread has been here: what the dynamic
 * linker does at the start of a process for libraries that are linked. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;

static int fail(char why[TLS_WHY_BYTES], const char *problem)
{
    snprintf(
        why, TLS_WHY_BYTES,
        "cannot load OpenSSL 3, which https and wss need (Debian: apt-get install libssl3): %s",
        problem);
    return ERR_NOT_FOUND;
}

static int fill_table(void *library, char why[TLS_WHY_BYTES])
{
    void **slot = openssl_table;
    for (const char *name = openssl_names; *name; name += strlen(name) + 1) {
        *slot = dlsym(library, name);
        if (!*slot++)
            return fail(why, dlerror());
    }
    return 0;
}

/* As full RELRO does with the linker's own table. */
static void protect_table(void)
{
    size_t bytes = (size_t)((char *)openssl_table_end - (char *)openssl_table);
    if (bytes > 0)
        (void)mprotect(openssl_table, bytes, PROT_READ);
}

static int load(char why[TLS_WHY_BYTES])
{
    /* By its name alone: where the system's linker looks, and nowhere else. Never closed, since it
     * leaves handlers for the end of the process. */
    void *library = dlopen(openssl_library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return fail(why, dlerror());
    int err = fill_table(library, why);
    if (err)
        dlclose(library);
    else
        protect_table();
    return err;
}

int openssl_load(char why[TLS_WHY_BYTES])
{
    pthread_mutex_lock(&lock);
    int err = loaded ? 0 : load(why);
    loaded = err == 0;
    pthread_mutex_unlock(&lock);
    return err;
}
