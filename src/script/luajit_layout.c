/* Finds where LuaJIT keeps what its interface does not tell. */
#include "script/luajit_layout.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "script/luajit_profiler.h"

enum {
    COROUTINES = 3,
    HOOK_MASKS = 16,                  /* all sums of LUA_MASKCALL and its kin */
    HOOK_EVERY = 1000,                /* instructions, for a hook that need not come */
    LOOK_WORDS = 16,                  /* of a lua_State: base and top are in its first part */
    STACK_BYTES_MAX = 8 * 1024 * 1024 /* a Lua stack is shorter than this */
};

/* The scratch state. Its first block holds the first lua_State and all that belongs to it. */
struct trial {
    char *block;
    size_t words;    /* of the block */
    bool *candidate; /* by byte: it may be the place that is looked for */
    size_t trace_base;
    size_t base;
    bool seen_null;     /* in C code, trace_base was NULL */
    bool seen_in_stack; /* in machine code it was a place in the running coroutine's stack */
    size_t hook_mask;
    unsigned seen_in_hook;      /* the mask while a debug hook runs, */
    unsigned seen_in_finaliser; /* and while a finaliser does */
    size_t check_last;
    unsigned recorded; /* instructions of a trace */
    bool seen_first;   /* check_last was NULL before the first of them, */
    bool seen_later;   /* and was not before the second */
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
    for (size_t i = 0; i < t->words; i++) {
        size_t at = i * sizeof(void *);
        t->candidate[at] = t->candidate[at] && word(t->block, at) == l;
    }
    return 0;
}

static int look_from_c(lua_State *l)
{
    struct trial *t = lua_touserdata(l, 1);
    t->seen_null = !word(t->block, t->trace_base);
    return 0;
}

static void all_are_candidates(struct trial *t)
{
    memset(t->candidate, true, t->words * sizeof(void *));
}

/* The one candidate that is left, of those that are so many bytes apart. 0: there is not exactly
 * one. */
static size_t only_candidate(const struct trial *t, size_t step)
{
    size_t at = 0, count = 0;
    for (size_t i = 0; i < t->words * sizeof(void *); i += step) {
        at = t->candidate[i] ? i : at;
        count += t->candidate[i];
    }
    return count == 1 ? at : 0;
}

/* The one word that holds the running coroutine, in some coroutines and in none. Called protected,
 * as all that follows. */
static size_t find_running(struct trial *t, lua_State *l)
{
    all_are_candidates(t);
    for (int i = 0; i < COROUTINES; i++) {
        lua_State *co = lua_newthread(l);
        lua_pushcfunction(co, keep_running);
        lua_pushlightuserdata(co, t);
        (void)lua_resume(co, 1);
    }
    lua_pushcfunction(l, keep_running);
    lua_pushlightuserdata(l, t);
    lua_call(l, 1, 0);
    return only_candidate(t, sizeof(void *));
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

/* ---- hooks ----------------------------------------------------------------------------------- */

static struct trial *trial_of(lua_State *l)
{
    void *trial;
    (void)lua_getallocf(l, &trial);
    return trial;
}

static unsigned byte_at(const char *at)
{
    return *(const unsigned char *)at;
}

static void no_hook(lua_State *l, lua_Debug *at)
{
    (void)l;
    (void)at;
}

static void look_from_hook(lua_State *l, lua_Debug *at)
{
    struct trial *t = trial_of(l);
    (void)at;
    t->seen_in_hook = byte_at(t->block + t->hook_mask);
}

static int look_from_finaliser(lua_State *l)
{
    struct trial *t = trial_of(l);
    t->seen_in_finaliser = byte_at(t->block + t->hook_mask);
    return 0;
}

/* Does lua_gethookmask read the byte that is written there? */
static bool is_read_back(const struct trial *t, lua_State *l)
{
    bool same = true;
    for (int mask = 0; mask < HOOK_MASKS; mask++) {
        t->block[t->hook_mask] = (char)mask;
        same = same && lua_gethookmask(l) == mask;
    }
    t->block[t->hook_mask] = 0;
    return same;
}

static void run_finaliser(lua_State *l)
{
    (void)lua_newuserdata(l, 1);
    lua_newtable(l);
    lua_pushcfunction(l, look_from_finaliser);
    lua_setfield(l, -2, "__gc");
    (void)lua_setmetatable(l, -2);
    lua_pop(l, 1);
    lua_gc(l, LUA_GCCOLLECT, 0);
}

/* The byte that is the mask whenever lua_sethook has set one, proved with its flags. */
static size_t find_hook_mask(struct trial *t, lua_State *l)
{
    all_are_candidates(t);
    for (int i = 0; i < 2 * HOOK_MASKS; i++) {
        int mask = (i * 7) % HOOK_MASKS; /* in an order that no counter has */
        lua_sethook(l, mask ? no_hook : NULL, mask, HOOK_EVERY);
        for (size_t at = 0; at < t->words * sizeof(void *); at++)
            t->candidate[at] = t->candidate[at] && byte_at(t->block + at) == (unsigned)mask;
    }
    lua_sethook(l, NULL, 0, 0);
    t->hook_mask = only_candidate(t, 1);
    if (t->hook_mask == 0 || !is_read_back(t, l))
        return 0;
    lua_sethook(l, look_from_hook, LUA_MASKCOUNT, 1);
    (void)luaL_dostring(l, "local x = 1 for i = 1, 10 do x = x + i end");
    lua_sethook(l, NULL, 0, 0);
    run_finaliser(l);
    return t->seen_in_hook == (LUAJIT_HOOK_ACTIVE | LUA_MASKCOUNT) &&
                   t->seen_in_finaliser == (LUAJIT_HOOK_ACTIVE | LUAJIT_HOOK_GC)
               ? t->hook_mask
               : 0;
}

/* The one int that follows the mode of the profiler. */
static size_t find_check_mode(struct trial *t, lua_State *l)
{
    static const char *const modes[] = {"l", "f", "l", "f"};
    all_are_candidates(t);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (!luajit_profiler_set_mode(l, modes[i]))
            return 0;
        for (size_t at = 0; at < t->words * sizeof(void *); at += sizeof(int)) {
            int value;
            memcpy(&value, t->block + at, sizeof(value));
            t->candidate[at] = t->candidate[at] && value == modes[i][0];
        }
    }
    return only_candidate(t, sizeof(int));
}

/* jit.attach "record": before each instruction that is recorded. */
static int look_from_record(lua_State *l)
{
    struct trial *t = trial_of(l);
    const void *last = word(t->block, t->check_last);
    t->seen_first = t->seen_first || (t->recorded == 0 && !last);
    t->seen_later = t->seen_later || (t->recorded == 1 && last);
    t->recorded++;
    return 0;
}

/* It lies before the mode, with an int between them: the function, the line and the mode. */
static size_t find_check_last(struct trial *t, lua_State *l, size_t check_mode)
{
    if (check_mode < sizeof(int) + sizeof(void *) || !luajit_profiler_set_mode(l, "l"))
        return 0;
    t->check_last = check_mode - sizeof(int) - sizeof(void *);
    lua_getglobal(l, "jit");
    lua_getfield(l, -1, "attach");
    lua_pushcfunction(l, look_from_record);
    lua_pushliteral(l, "record");
    lua_call(l, 2, 0);
    (void)luaL_dostring(l, "local x = 1 for i = 1, 1000 do x = x + i end");
    return t->seen_first && t->seen_later ? t->check_last : 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

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
                                   .base = t->base,
                                   .hook_mask = find_hook_mask(t, l),
                                   .check_mode = find_check_mode(t, l)};
    found.check_last = find_check_last(t, l, found.check_mode);
    found.hooks_known =
        found.known && found.hook_mask > 0 && found.check_mode > 0 && found.check_last > 0;
    return 0;
}

static void find(void)
{
    luajit_profiler_own();
    struct trial t = {0};
    lua_State *l = lua_newstate(allocate, &t);
    if (!l)
        return;
    t.candidate = malloc(t.words * sizeof(void *));
    if (t.candidate && (char *)l == t.block && lua_cpcall(l, try_all, &t) != 0)
        found = (struct luajit_layout){0};
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
