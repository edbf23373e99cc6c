/* Finds where LuaJIT's code lies: its library by the addresses of its functions, its interpreter,
 * which is one piece of assembly with one entry for unwinding, by a return address into it. */
#include "script/luajit_code.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <link.h>
#include <string.h>

struct range {
    uintptr_t begin, end;
};

static struct range library, interpreter;

static bool is_in(const struct range *r, uintptr_t address)
{
    return address >= r->begin && address < r->end;
}

/* For dl_iterate_phdr: looks for the segment that holds lua_newstate. */
static int look_at_object(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + segment->p_vaddr;
        const struct range r = {begin, begin + segment->p_memsz};
        if (segment->p_type == PT_LOAD && is_in(&r, (uintptr_t)lua_newstate)) {
            library = r;
            return 1;
        }
    }
    return 0;
}

/* Of libgcc: the entry for unwinding (a frame description entry) of the function at an address. */
struct unwind_bases {
    void *text, *data, *function;
};
typedef const void *find_entry(void *at, struct unwind_bases *bases);

enum {
    FDE_LENGTH_AT = 12,         /* after its length, its link and the function's address */
    INTERPRETER_MAX = 64 * 1024 /* 16 KiB in all versions known */
};

/* A function of Lua, called by the interpreter, and so returning into it. */
static int look_at_caller(lua_State *l)
{
    (void)l;
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    struct unwind_bases bases = {0};
    find_entry *find = (find_entry *)dlsym(RTLD_DEFAULT, "_Unwind_Find_FDE");
    const char *entry = find ? find((void *)caller, &bases) : NULL;
    uint32_t length = 0;
    if (entry)
        memcpy(&length, entry + FDE_LENGTH_AT, sizeof(length));
    const struct range r = {(uintptr_t)bases.function, (uintptr_t)bases.function + length};
    if (length <= INTERPRETER_MAX && is_in(&r, caller) && is_in(&library, caller))
        interpreter = r;
    return 0;
}

void luajit_code_find(void)
{
    (void)dl_iterate_phdr(look_at_object, NULL);
    lua_State *l = luaL_newstate();
    if (!l)
        return;
    (void)lua_cpcall(l, look_at_caller, NULL);
    lua_close(l);
}

bool luajit_code_is_c(uintptr_t address)
{
    return is_in(&library, address) && !is_in(&interpreter, address);
}
