/* Finds where LuaJIT keeps what its interface does not tell. */
#include "script/luajit_layout.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    COROUTINES = 3,
    LOOK_WORDS = 16,                  /* of a lua_State: base and top are in its first part */
    STACK_BYTES_MAX = 8 * 1024 * 1024 /* a Lua stack is shorter than this */
};

/* The scratch state. Its first block holds the first lua_State and all that belongs to it. */
struct trial {
    char *block;
    size_t words;    /* of the block */
    bool *candidate; /* by word: it may be the place that is looked for */
    size_t trace_base;
    size_t base;
    bool seen_null;     /* in C code, trace_base was NULL */
    bool seen_in_stack; /* in machine code it was a place in the running coroutine's stack */
};

static struct luajit_layout found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *word(const char *at, size_t offset)
{
    void *value;
    memcpy(&value, at + offset, sizeof(value));
    return value;
}

static void look_at_trace_base(struct trial *t, const lua_State *running)
{
    const char *at = word(t->block, t->trace_base);
    const char *base = word((const char *)running, t->base);
    if (at && at >= base && at < base + STACK_BYTES_MAX)
        t->seen_in_stack = true;
}

static void *allocate(void *trial, void *block, size_t old_size, size_t size)
{
    struct trial *t = trial;
    (void)old_size;
    if (size == 0) {
        free(block);
        return NULL;
    }
    if (t->trace_base > 0)
        look_at_trace_base(t, word(t->block, t->trace_base - sizeof(void *)));
    bool first = !t->block;
    char *to = first ? calloc(1, size) : realloc(block, size);
    if (first && to) {
        t->block = to;
        t->words = size / sizeof(void *);
    }
    return to;
}

/* Keeps the candidates that hold the coroutine in which this runs. */
static int keep_running(lua_State *l)
{
    struct trial *t = lua_touserdata(l, 1);
    for (size_t i = 0; i < t->words; i++)
        t->candidate[i] = t->candidate[i] && word(t->block, i * sizeof(void *)) == l;
    return 0;
}

static int look_from_c(lua_State *l)
{
    struct trial *t = lua_touserdata(l, 1);
    t->seen_null = !word(t->block, t->trace_base);
    return 0;
}

/* The one word that holds the running coroutine, in some coroutines and in none. 0: there is not
 * exactly one. Called protected, as all that follows. */
static size_t find_running(struct trial *t, lua_State *l)
{
    for (int i = 0; i < COROUTINES; i++) {
        lua_State *co = lua_newthread(l);
        lua_pushcfunction(co, keep_running);
        lua_pushlightuserdata(co, t);
        (void)lua_resume(co, 1);
    }
    lua_pushcfunction(l, keep_running);
    lua_pushlightuserdata(l, t);
    lua_call(l, 1, 0);
    size_t at = 0, count = 0;
    for (size_t i = 0; i < t->words; i++) {
        at = t->candidate[i] ? i : at;
        count += t->candidate[i];
    }
    return count == 1 ? at * sizeof(void *) : 0;
}

/* The top of the stack moves by a value with each push; the base is the word before it. */
static size_t find_base(lua_State *l)
{
    char *state = (char *)l;
    size_t top = 0, count = 0;
    for (size_t i = 1; i < LOOK_WORDS; i++) {
        size_t offset = i * sizeof(void *);
        const char *before = word(state, offset);
        lua_pushnil(l);
        const char *after = word(state, offset);
        lua_pop(l, 1);
        if ((uintptr_t)after - (uintptr_t)before == sizeof(double)) {
            top = offset;
            count++;
        }
    }
    if (count != 1)
        return 0;
    size_t base = top - sizeof(void *);
    intptr_t held = (char *)word(state, top) - (char *)word(state, base);
    return held == (intptr_t)sizeof(double) * lua_gettop(l) ? base : 0;
}

static const char loop[] = "local t = {} for i = 1, 1000 do t[i] = { i } end return #t";

/* The frame of machine code lies behind the running coroutine: proved from both kinds of code. */
static int try_all(lua_State *l)
{
    struct trial *t = lua_touserdata(l, 1);
    luaL_openlibs(l);
    size_t running = find_running(t, l);
    t->base = find_base(l);
    if (running == 0 || t->base == 0)
        return 0;
    t->trace_base = running + sizeof(void *);
    lua_pushcfunction(l, look_from_c);
    lua_pushlightuserdata(l, t);
    lua_call(l, 1, 0);
    if (luaL_loadstring(l, loop) != 0)
        return lua_error(l);
    lua_call(l, 0, 0);
    found = (struct luajit_layout){.known = t->seen_null && t->seen_in_stack,
                                   .running = running,
                                   .trace_base = t->trace_base,
                                   .base = t->base};
    return 0;
}

static void find(void)
{
    struct trial t = {0};
    lua_State *l = lua_newstate(allocate, &t);
    if (!l)
        return;
    t.candidate = malloc(t.words * sizeof(*t.candidate));
    if (t.candidate && (char *)l == t.block) {
        memset(t.candidate, true, t.words * sizeof(*t.candidate));
        if (lua_cpcall(l, try_all, &t) != 0)
            found.known = false;
    }
    t.trace_base = 0;
    lua_close(l);
    free(t.candidate);
}

const struct luajit_layout *luajit_layout(void)
{
    pthread_once(&once, find);
    return &found;
}

void luajit_layout_no_memory(lua_State *l)
{
    if (!found.known || !l)
        return;
    void *frame = word((char *)l, found.trace_base);
    char *running = word((char *)l, found.running);
    if (frame && running)
        memcpy(running + found.base, &frame, sizeof(frame));
}
