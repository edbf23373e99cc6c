/* The thread that looks at all watches, and the trial of whether what it does works here. */
#include "script/watchdog.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "engine/ground/pulse.h"
#include "script/luajit_checks.h"
#include "script/luajit_code.h"
#include "script/luajit_layout.h"
#include "script/luajit_profiler.h"
#include "script/watched.h"

enum {
    KICK_MS = 2,           /* between two kicks */
    LOOKS_UNTIL_LEAST = 8, /* looks in the shortest time that is allowed */
    TRIAL_MS = 1
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool runs;
    struct watched *first;
    unsigned lent; /* to so many states that profile themselves */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool works;

/* ---- looking --------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void tell(struct watched *w, uint32_t stands_ms)
{
    if (w->told || stands_ms < PULSE_STUCK_MS ||
        !atomic_load_explicit(&w->located, memory_order_acquire))
        return;
    w->told = true;
    log_write(w->log, LOG_WARN,
              "worker %u is busy with %s for %.1f s now: all its connections wait, and it gets no "
              "new ones",
              w->worker, w->where, stands_ms / 1e3);
}

/* Something else runs than at the look before, or nothing. */
static void begin(struct watched *w, const struct watched_progress *now, uint64_t now_ms)
{
    uint32_t least_ms = atomic_load_explicit(&w->least_ms, memory_order_relaxed);
    w->seen = *now;
    w->seen_ms = now_ms;
    w->told = false;
    atomic_store_explicit(&w->over, false, memory_order_relaxed);
    atomic_store_explicit(&w->next_ms, least(least_ms, PULSE_STUCK_MS), memory_order_relaxed);
}

/* Returns the milliseconds after which to look again. */
static uint32_t look(struct watched *w, uint64_t now_ms)
{
    const struct watched_progress now = watched_progress(w);
    uint32_t least_ms = atomic_load_explicit(&w->least_ms, memory_order_relaxed);
    uint32_t pause = least(WATCHDOG_LOOK_MS, least_ms / LOOKS_UNTIL_LEAST + 1);
    bool may_last = __atomic_load_n(&w->batch->hook_ms, __ATOMIC_RELAXED) == WATCHED_NEVER;
    if (!watched_is_same(&now, &w->seen) || !(now.entered & 1) || may_last) {
        begin(w, &now, now_ms);
        return pause;
    }
    uint32_t stands_ms = (uint32_t)(now_ms - w->seen_ms);
    tell(w, stands_ms);
    if (stands_ms < atomic_load_explicit(&w->next_ms, memory_order_relaxed))
        return pause;
    atomic_store_explicit(&w->stands_ms, stands_ms, memory_order_relaxed);
    watched_kick(w);
    return KICK_MS;
}

static void sleep_for(uint32_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    const struct timespec end = {(time_t)(end_ms / 1000), (long)(end_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&all.changed, &all.lock, &end);
}

static void *look_at_all(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&all.lock);
    while (all.first) {
        uint64_t now_ms = clock_monotonic_ms();
        uint32_t pause = WATCHDOG_LOOK_MS;
        for (struct watched *w = all.first; w && !all.lent; w = w->next)
            pause = least(pause, look(w, now_ms));
        sleep_for(pause);
    }
    pthread_mutex_unlock(&all.lock);
    return NULL;
}

/* With all signals blocked: those of the process are for the main thread. */
static int start_thread(void)
{
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    int err = pthread_create(&all.thread, NULL, look_at_all, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        pthread_setname_np(all.thread, "moonwire/watch");
    return err;
}

/* Returns false when the thread cannot be started. */
static bool join_list(struct watched *w)
{
    pthread_mutex_lock(&all.lock);
    w->next = all.first;
    all.first = w;
    if (!all.runs)
        all.runs = start_thread() == 0;
    if (!all.runs)
        all.first = w->next;
    pthread_cond_signal(&all.changed);
    pthread_mutex_unlock(&all.lock);
    return all.runs;
}

void watchdog_remove(struct watched *w)
{
    bool was_last = false;
    pthread_mutex_lock(&all.lock);
    for (struct watched **at = &all.first; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            was_last = !all.first;
            break;
        }
    }
    pthread_cond_signal(&all.changed);
    pthread_mutex_unlock(&all.lock);
    watched_end(w);
    if (was_last) {
        pthread_join(all.thread, NULL);
        all.runs = false;
    }
}

int watchdog_lend_profiler(lua_State *l)
{
    bool lends = lua_toboolean(l, 1);
    pthread_mutex_lock(&all.lock);
    unsigned before = all.lent;
    all.lent = lends ? before + 1 : before > 0 ? before - 1 : 0;
    if ((before > 0) != (all.lent > 0))
        luajit_profiler_lend(lends);
    pthread_mutex_unlock(&all.lock);
    return 0;
}

/* ---- the trial ------------------------------------------------------------------------------- */

static uint32_t trial_allows(const void *context)
{
    (void)context;
    return TRIAL_MS;
}

static void trial_reason(lua_State *l, const void *context, uint32_t allowed_ms)
{
    (void)context;
    (void)allowed_ms;
    lua_pushliteral(l, "stopped");
}

/* Runs machine code that does not end for seconds. */
static int run_trial(lua_State *l)
{
    luajit_checks_write(l);
    if (luaL_loadstring(l, "local x = 0 for i = 1, 3e9 do x = x + i end") != 0)
        return lua_error(l);
    lua_call(l, 0, 0);
    return 0;
}

static void try_it(void)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&all.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    luajit_code_find();
    lua_State *l = luajit_layout()->hooks_known && watched_init() == 0 ? luaL_newstate() : NULL;
    if (!l)
        return;
    luaL_openlibs(l);
    struct event_batch none = {0};
    struct watched trial = {
        .lua = l,
        .batch = &none,
        .allowed_ms = trial_allows,
        .push_reason = trial_reason,
        .least_ms = TRIAL_MS,
    };
    if (join_list(&trial)) {
        watched_enter(&trial);
        works = lua_cpcall(l, run_trial, NULL) == LUA_ERRRUN;
        watched_leave(&trial);
        watchdog_remove(&trial);
    }
    lua_close(l);
}

/* ThreadSanitizer holds signals back until the thread calls something that it knows. */
#if defined(__SANITIZE_THREAD__)
enum { CAN_WORK = false };
#else
enum { CAN_WORK = true };
#endif

void watchdog_add(struct watched *w)
{
    if (CAN_WORK)
        pthread_once(&once, try_it);
    bool watched = works && join_list(w);
    if (watched)
        luajit_checks_write(w->lua);
    else if (CAN_WORK && w->worker == 0)
        log_write(w->log, LOG_WARN,
                  "hooks that do not return cannot be stopped: this LuaJIT, or this system, is not "
                  "as expected (limits.hook_ms has no effect)");
}
