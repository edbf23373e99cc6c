/* Stops the Lua of a thread from a signal handler in it. */
#include "script/watched.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/ground/pulse.h"
#include "script/luajit_code.h"
#include "script/luajit_layout.h"

enum {
    /* Kicks that may be skipped because the thread is in LuaJIT's own C code. For some 50 ns where
     * a trace begins that code must not be disturbed; a function that lasts may. */
    SKIPS_MAX = 20,
    KICKS_FIRM = 3,       /* from here on also finalisers and error handlers are reached */
    KICKS_ANEW = 8,       /* so often the hook is set anew, which begins its count again */
    KICKS_LOCATE = 50,    /* from here on a function of C is looked for */
    DEFERRED_MAX = 20000, /* times that our own modules are left to run on, */
    DEFERRED_LEAST = 64,  /* for so many instructions at least, */
    DEFERRED_SPREAD = 61, /* and up to so many more: an app's loop must not keep in step */
    SPARED_MAX = 3,       /* hooks go on after so many finalisers that were stopped inside them */
    LEVELS_MAX = 100      /* of the stack, to look for the app's line */
};

static const char ours[] = "=moonwire/"; /* how the names of our modules begin (state.c) */

static _Thread_local struct watched *mine; /* what this thread runs, or has run last */

/* The signal that asks, after which a system call goes on; and the one that stops, which makes a
 * call that sleeps or reads return. */
static int signal_for(bool stops)
{
    return SIGRTMIN + 1 + stops;
}

/* ---- progress -------------------------------------------------------------------------------- */

struct watched_progress watched_progress(const struct watched *w)
{
    return (struct watched_progress){
        .entered = atomic_load_explicit(&w->entered, memory_order_relaxed),
        .at = __atomic_load_n(&w->batch->at, __ATOMIC_RELAXED),
        .ticks = __atomic_load_n(&w->batch->ticks, __ATOMIC_RELAXED),
    };
}

bool watched_is_same(const struct watched_progress *a, const struct watched_progress *b)
{
    return a->entered == b->entered && a->at == b->at && a->ticks == b->ticks;
}

static bool is_progress(const struct watched *w, const struct watched_progress *then)
{
    const struct watched_progress now = watched_progress(w);
    return watched_is_same(&now, then);
}

void watched_renew(struct watched *w)
{
    __atomic_store_n(&w->batch->ticks, w->batch->ticks + 1, __ATOMIC_RELAXED);
}

/* ---- LuaJIT ---------------------------------------------------------------------------------- */

static volatile uint8_t *hook_mask(const struct watched *w)
{
    return (volatile uint8_t *)w->lua + luajit_layout()->hook_mask;
}

static void set_flags(const struct watched *w, unsigned flags)
{
    *hook_mask(w) = (uint8_t)(*hook_mask(w) | flags);
}

static void clear_flags(const struct watched *w, unsigned flags)
{
    *hook_mask(w) = (uint8_t)(*hook_mask(w) & ~flags);
}

static void hook(lua_State *l, lua_Debug *at);

/* The hook comes after so many instructions, in machine code too. The flag is set last: LuaJIT's
 * table, which is written anew here, must lead to the hook, not to the profiler. */
static void hook_after(struct watched *w, int instructions)
{
    clear_flags(w, LUAJIT_HOOK_PROFILE);
    lua_sethook(w->lua, hook, LUA_MASKCOUNT, instructions);
    set_flags(w, LUAJIT_HOOK_PROFILE);
}

static void calm(struct watched *w)
{
    clear_flags(w, LUAJIT_HOOK_PROFILE);
    lua_sethook(w->lua, NULL, 0, 0);
    w->kicks = w->acts = 0;
    w->in_finaliser = false;
}

static bool is_ours(const lua_Debug *at)
{
    return strncmp(at->source, ours, sizeof(ours) - 1) == 0;
}

/* Writes down what runs: the innermost line of the app, and the function of C that it has called.
 * Reads only. */
static void locate(struct watched *w, lua_State *l)
{
    lua_Debug at;
    char function[64] = "";
    if (atomic_load_explicit(&w->located, memory_order_relaxed))
        return;
    for (int level = 0; level < LEVELS_MAX && lua_getstack(l, level, &at); level++) {
        if (!lua_getinfo(l, "nSl", &at))
            break;
        if (level == 0 && *at.what == 'C')
            (void)snprintf(function, sizeof(function), "%s at ", at.name ? at.name : "C code");
        if (at.currentline <= 0 || is_ours(&at))
            continue;
        (void)snprintf(w->where, sizeof(w->where), "%s%s:%d", function, at.short_src,
                       at.currentline);
        atomic_store_explicit(&w->located, true, memory_order_release);
        return;
    }
}

/* ---- the debug hook -------------------------------------------------------------------------- */

/* Has a finaliser been stopped, and is it over? The hook that it interrupted is not to blame. */
static bool spares(struct watched *w, bool in_finaliser)
{
    bool over = w->in_finaliser && !in_finaliser;
    w->in_finaliser = in_finaliser;
    return over && w->spared++ < SPARED_MAX;
}

static void fail(lua_State *l, const struct watched *w, uint32_t allowed)
{
    clear_flags(w, LUAJIT_HOOK_ACTIVE); /* the handlers of xpcall are stopped too */
    luaL_where(l, 0);
    w->push_reason(l, w->context, allowed);
    lua_concat(l, 2);
    lua_error(l);
}

static void interrupted(struct watched *w, lua_State *l)
{
    w->interrupt = false;
    w->fails = w->interrupted(l, w->context);
    w->failing = watched_progress(w);
}

/* What its time is over for: its kicks have come. */
static void stop(struct watched *w, lua_State *l)
{
    if (w->allowed == 0) {
        locate(w, l);
        calm(w);
    } else if (spares(w, *hook_mask(w) & LUAJIT_HOOK_GC)) {
        watched_renew(w);
        calm(w);
    } else {
        fail(l, w, w->allowed);
    }
}

/* Our own modules run on: the hook comes seldom there, since what it costs adds up in them. */
static bool defers(struct watched *w)
{
    if (w->deferred++ >= DEFERRED_MAX)
        return false;
    hook_after(w, DEFERRED_LEAST + (int)(w->deferred % DEFERRED_SPREAD));
    return true;
}

/* For every instruction of the app. It comes again until the error has left the app's code,
 * whatever that catches: our own modules, which have called it, take the error as any other. They
 * are not disturbed themselves, for what they keep would be left half done. */
static void hook(lua_State *l, lua_Debug *at)
{
    struct watched *w = mine;
    if (!w)
        return;
    if (w->interrupt)
        interrupted(w, l);
    bool stops = w->kicks > 0 && is_progress(w, &w->stopping);
    w->fails = w->fails && is_progress(w, &w->failing);
    if (!stops && !w->fails) {
        calm(w);
        return;
    }
    if (!lua_getinfo(l, "S", at) || (is_ours(at) && defers(w)))
        return;
    hook_after(w, 1);
    if (stops) {
        stop(w, l);
    } else {
        calm(w);
        w->fails = false;
        fail(l, w, 0);
    }
}

/* ---- the signal ------------------------------------------------------------------------------ */

/* The address at which the thread was interrupted; 0 on a machine that we do not know. */
static uintptr_t interrupted_at(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)c->uc_mcontext.pc;
#else
    (void)c;
    return 0;
#endif
}

static lua_State *running(const struct watched *w, bool *is_trace)
{
    void *co, *frame;
    memcpy(&co, (const char *)w->lua + luajit_layout()->running, sizeof(co));
    memcpy(&frame, (const char *)w->lua + luajit_layout()->trace_base, sizeof(frame));
    *is_trace = frame;
    return co;
}

/* A function of C has lasted through all kicks: Lua's stack is as it was when that was called. */
static void locate_function(struct watched *w)
{
    bool is_trace;
    lua_State *l = running(w, &is_trace);
    if (l && !is_trace)
        locate(w, l);
}

/* lua_sethook is made for signal handlers. Off and on, since LuaJIT may be about to overwrite the
 * table that it changes. */
static void set_hook(struct watched *w)
{
    clear_flags(w, LUAJIT_HOOK_PROFILE | (w->acts >= KICKS_FIRM ? LUAJIT_HOOK_ACTIVE : 0u));
    lua_sethook(w->lua, NULL, 0, 0);
    hook_after(w, 1);
}

void watched_interrupt(struct watched *w)
{
    bool runs = atomic_load_explicit(&w->entered, memory_order_relaxed) & 1;
    if (w->interrupt || !runs || mine != w || !luajit_layout()->hooks_known)
        return;
    w->interrupt = true;
    w->deferred = 0;
    set_hook(w);
}

static void begin(struct watched *w)
{
    w->stopping = watched_progress(w);
    w->kicks = w->acts = w->skipped = 0;
    w->deferred = 0;
    w->in_finaliser = false;
    atomic_store_explicit(&w->over, false, memory_order_relaxed);
    atomic_store_explicit(&w->located, false, memory_order_relaxed);
}

/* How long what runs may, as far as that has to do with this kick; false: it is too early. */
static bool is_over(struct watched *w)
{
    uint32_t allowed = w->allowed_ms(w->context);
    uint32_t stands = atomic_load_explicit(&w->stands_ms, memory_order_relaxed);
    if (stands >= allowed) {
        atomic_store_explicit(&w->over, true, memory_order_relaxed);
        w->allowed = allowed;
        return true;
    }
    w->allowed = 0;
    bool wanted =
        stands >= PULSE_STUCK_MS && !atomic_load_explicit(&w->located, memory_order_relaxed);
    uint32_t next = stands < PULSE_STUCK_MS && allowed > PULSE_STUCK_MS ? PULSE_STUCK_MS : allowed;
    if (!wanted)
        atomic_store_explicit(&w->next_ms, next, memory_order_relaxed);
    return wanted;
}

static void handle(struct watched *w, const void *context)
{
    if (!(atomic_load_explicit(&w->entered, memory_order_relaxed) & 1))
        return;
    if (!is_progress(w, &w->stopping))
        begin(w);
    if (!is_over(w))
        return;
    w->kicks++;
    bool is_c = luajit_code_is_c(interrupted_at(context));
    if (w->kicks >= KICKS_LOCATE && is_c)
        locate_function(w);
    if (is_c && ++w->skipped < SKIPS_MAX)
        return;
    w->skipped = 0;
    w->acts++;
    if (w->acts <= KICKS_FIRM || w->acts % KICKS_ANEW == 0)
        set_hook(w);
    else
        set_flags(w, LUAJIT_HOOK_PROFILE);
}

static void on_signal(int signum, siginfo_t *info, void *context)
{
    (void)signum;
    (void)info;
    int before = errno;
    if (mine)
        handle(mine, context);
    errno = before;
}

int watched_init(void)
{
    struct sigaction asks = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction stops = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigemptyset(&asks.sa_mask);
    sigemptyset(&stops.sa_mask);
    return sigaction(signal_for(false), &asks, NULL) == 0 &&
                   sigaction(signal_for(true), &stops, NULL) == 0
               ? 0
               : ERR_IO;
}

void watched_kick(const struct watched *w)
{
    int thread = atomic_load_explicit(&w->thread, memory_order_relaxed);
    bool over = atomic_load_explicit(&w->over, memory_order_relaxed);
    (void)syscall(SYS_tgkill, getpid(), thread, signal_for(over));
}

/* ---- the thread that runs Lua ---------------------------------------------------------------- */

static void step(struct watched *w)
{
    uint32_t entered = atomic_load_explicit(&w->entered, memory_order_relaxed);
    atomic_store_explicit(&w->entered, entered + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

void watched_enter(struct watched *w)
{
    if (mine != w) {
        mine = w;
        atomic_store_explicit(&w->thread, (int)syscall(SYS_gettid), memory_order_relaxed);
    }
    step(w);
}

void watched_leave(struct watched *w)
{
    step(w);
    if (w->kicks > 0 || w->interrupt || w->fails)
        calm(w);
    w->interrupt = w->fails = false;
    w->spared = 0;
}

void watched_end(const struct watched *w)
{
    if (mine == w)
        mine = NULL;
}
