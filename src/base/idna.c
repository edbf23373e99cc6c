/* Loads libidn2 and calls it. */
#include "base/idna.h"

#include <dlfcn.h>
#include <idn2.h>
#include <string.h>

#include "base/error.h"

/* The name that its ABI has had since 2.0, found where the system's linker looks. */
static const char library_name[] = "libidn2.so.0";

static int convert(void *library, struct buffer *out, const char *name)
{
    __typeof__(idn2_to_ascii_8z) *to_ascii = dlsym(library, "idn2_to_ascii_8z");
    __typeof__(idn2_free) *release = dlsym(library, "idn2_free");
    if (!to_ascii || !release)
        return ERR_NOT_FOUND;
    char *ascii = NULL;
    int failed = to_ascii(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    int err = failed ? ERR_INVALID : buffer_append(out, ascii, strlen(ascii));
    release(ascii);
    return failed == IDN2_MALLOC ? ERR_MEMORY : err;
}

int idna_to_ascii(struct buffer *out, const char *name)
{
    /* Nothing is kept here: the library stays, and later calls find it by its name in a
     * microsecond. */
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return ERR_NOT_FOUND;
    int err = convert(library, out, name);
    dlclose(library);
    return err;
}
