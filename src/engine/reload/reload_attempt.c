/* One attempt to load or roll back. */
#include "engine/reload/reload_attempt.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/excerpt.h"
#include "engine/ground/site_succession.h"
#include "engine/reload/reload_worker.h"
#include "engine/worker/worker.h"

enum {
    REREADS_MAX = 100, /* for an app that changes its own files whenever it is loaded */
    TEXT_BYTES = 2 * RELOAD_WHY_BYTES + RELOAD_TRACE_BYTES + 1024
};
/* How long a worker may take beyond limits.reload_seconds, which ends the app's code. */
static const double overdue_seconds = 1;

/* ---- letters ------------------------------------------------------------------------------- */

/* To all workers or, without memory, to none: false. */
static bool post_all(struct reload_attempt *a, reload_letter_maker *make, uint32_t number)
{
    struct server *s = a->server;
    struct letter *first = NULL;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = make(a->round, number);
        if (l) {
            l->next = first;
            first = l;
            continue;
        }
        while ((l = first)) {
            first = l->next;
            l->drop(l);
        }
        return false;
    }
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = first;
        first = l->next;
        mailbox_post(&s->workers[i].mailbox, l);
    }
    return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void end(struct reload_attempt *a)
{
    if (a->round->sources)
        sources_cancel(a->round->sources);
    ev_timer_stop(a->server->loop, &a->overdue);
    reload_requests_rolling_back(a->requests, 0);
    a->phase = RELOAD_IDLE;
    a->ended_us = clock_monotonic_us();
    ev_async_send(a->server->loop, a->round->wake); /* somebody may have asked meanwhile */
}

void reload_attempt_abandon(struct reload_attempt *a)
{
    reload_round_end(a->round);
    (void)post_all(a, reload_abandon_letter,
                   0); /* without memory, the next attempt begins with that */
    end(a);
}

static void fail(struct reload_attempt *a, const char *why)
{
    char text[TEXT_BYTES];
    bool back = a->kind == RELOAD_BACK;
    bool by_itself = back && a->wish.by_itself;
    snprintf(text, sizeof(text), "%s failed, generation %u serves on: %s%s%s",
             back ? "rollback" : "reload", a->requests->generation, why,
             by_itself ? "; it was wanted since " : "", by_itself ? a->rollback_why : "");
    count_shared(&a->server->counters, COUNT_RELOAD_FAILURES, 1);
    reload_attempt_abandon(a);
    a->ended(a, false, text);
}

/* The files were being written while they were read. */
static void once_more(struct reload_attempt *a)
{
    log_write(&a->server->log, LOG_DEBUG, "%s changed while it was read: once more",
              a->options.app);
    reload_requests_put_back(a->requests, &a->wish);
    reload_attempt_abandon(a);
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* The attempt fails when it has not ended in time. */
static void expect_end(struct reload_attempt *a)
{
    struct ev_loop *loop = a->server->loop;
    ev_timer_stop(loop, &a->overdue);
    ev_timer_set(&a->overdue,
                 admission_limits(&a->server->admission).reload_seconds + overdue_seconds, 0);
    ev_now_update(loop);
    ev_timer_start(loop, &a->overdue);
}

static void ask_workers(struct reload_attempt *a)
{
    a->phase = RELOAD_PREPARING;
    if (post_all(a, a->kind == RELOAD_BACK ? reload_restore_letter : reload_prepare_letter,
                 a->number))
        expect_end(a);
    else
        fail(a, error_text(ERR_MEMORY));
}

static bool still_reads(const struct reload_attempt *a)
{
    return a->round->sources && !sources_done(a->round->sources);
}

/* One thread reads at a time: that of an earlier attempt may still be at its last file. */
static void read_files(struct reload_attempt *a)
{
    struct reload_round *round = a->round;
    if (still_reads(a))
        return;
    bool has_read = round->sources && sources_number(round->sources) == a->number;
    if (!has_read) {
        reload_round_set_sources(round, a->options.compile ? reload_files_ahead(a->files, a->number)
                                                           : NULL);
        if (round->sources &&
            sources_begin(round->sources, a->options.compile, a->server->loop, round->wake) == 0)
            return;
        reload_round_set_sources(round, NULL);
    }
    ask_workers(a);
}

/* False: the rollback cannot even begin, and has failed. */
static bool is_possible(struct reload_attempt *a)
{
    char why[128];
    if (a->back_to && a->wish.from == a->requests->generation)
        return true;
    if (a->back_to)
        snprintf(why, sizeof(why), "it was meant for generation %u, which does not serve any more",
                 a->wish.from);
    fail(a, a->back_to ? why
                       : "there is no earlier generation to go back to: one is kept from each "
                         "reload to the next");
    return false;
}

void reload_attempt_begin(struct reload_attempt *a, enum reload_kind kind,
                          const struct reload_wish *wish)
{
    assert(a->phase == RELOAD_IDLE);
    a->kind = kind;
    a->wish = *wish;
    if (kind == RELOAD_BACK && !is_possible(a))
        return;
    a->number = reload_round_begin(a->round);
    if (kind == RELOAD_LOAD) {
        a->phase = RELOAD_READING;
        expect_end(a);
        reload_files_follow(a->files);
        read_files(a);
        return;
    }
    reload_requests_rolling_back(a->requests, wish->ticket);
    if (!wish->by_itself)
        snprintf(a->rollback_why, sizeof(a->rollback_why), "%s", wish->cause);
    ask_workers(a);
}

/* ---- the verdict ----------------------------------------------------------------------------- */

/* Were the files being written? Then the workers may have read different things and not agree. */
static bool half_written(struct reload_attempt *a)
{
    if (reload_files_busy(a->files))
        return true;
    for (uint32_t i = 0; i < a->round->workers; i++) {
        if (reload_files_outdated(a->round->answers[i].site))
            return true;
    }
    return false;
}

/* Could all workers prepare it, and do they agree? */
static int judge_answers(struct reload_attempt *a, char why[RELOAD_WHY_BYTES])
{
    const struct reload_answer *answers = a->round->answers;
    for (uint32_t i = 0; i < a->round->workers; i++) {
        if (answers[i].status < 0) {
            snprintf(why, RELOAD_WHY_BYTES, "%s", answers[i].why);
            if (answers[i].site && a->kind == RELOAD_LOAD)
                reload_files_refused(a->files, answers[i].site);
            return answers[i].status;
        }
    }
    for (uint32_t i = 1; i < a->round->workers; i++) {
        if (!site_agrees(answers[0].site, answers[i].site)) {
            site_disagreement(why, RELOAD_WHY_BYTES, a->options.app, answers[0].site,
                              answers[i].site, i + 1);
            return ERR_INVALID;
        }
    }
    return 0;
}

/* Can its listeners be opened, and their certificates be read? */
static int plan_listeners(struct reload_attempt *a, char why[RELOAD_WHY_BYTES])
{
    struct server *s = a->server;
    const struct site *site = a->round->answers[0].site;
    if (site->listener_count == 0 && s->listener_count > 0) {
        snprintf(why, RELOAD_WHY_BYTES, "%s: nowhere to listen: call mw.listen{port=8080} in it",
                 a->options.app);
        return ERR_INVALID;
    }
    reload_files_look(a->files, site); /* before they are read */
    char refused[SERVER_WHY_BYTES] = "";
    int err =
        server_plan_listeners(s, &a->listeners, site->listeners, site->listener_count, refused);
    if (err) {
        snprintf(why, RELOAD_WHY_BYTES, "%s", refused);
        excerpt_append(why, RELOAD_WHY_BYTES);
    }
    return err;
}

/* All answers are there: can this be committed? */
static int judge(struct reload_attempt *a, char why[RELOAD_WHY_BYTES])
{
    int err = judge_answers(a, why);
    return err || a->options.fixed_listeners ? err : plan_listeners(a, why);
}

/* ---- the commit ------------------------------------------------------------------------------ */

static void number_code(struct reload_attempt *a)
{
    if (a->kind == RELOAD_BACK) {
        a->loaded_as = a->back_to;
        a->back_to = 0;
        return;
    }
    if (!a->round->facts.failed_probation)
        a->back_to = a->loaded_as;
    a->loaded_as = a->requests->generation;
}

/* The lock is held until the new generation counts: a worker may be so fast that it fails
 * before. */
static bool post_commit(struct reload_attempt *a)
{
    struct reload_requests *q = a->requests;
    const struct limits limits = admission_limits(&a->server->admission);
    reload_round_again(a->round);
    pthread_mutex_lock(&q->lock);
    a->round->facts = (struct reload_facts){
        .taken_back = a->kind == RELOAD_BACK ? a->rollback_why : NULL,
        .failed_probation = q->locked.probation.failed,
    };
    bool posted = post_all(a, reload_commit_letter, q->generation + 1);
    if (posted)
        reload_requests_take_over(q, a->kind == RELOAD_BACK, &limits, server_events(a->server));
    pthread_mutex_unlock(&q->lock);
    return posted;
}

static void commit(struct reload_attempt *a)
{
    struct server *s = a->server;
    const struct site *site = a->round->answers[0].site;
    /* Before the workers own it again. */
    if (a->kind == RELOAD_LOAD)
        reload_files_serve(a->files, site, !a->options.fixed_listeners);
    else
        reload_files_taken_back(a->files, site, !a->options.fixed_listeners);
    server_set_limits(s, &site->limits);
    if (!post_commit(a)) {
        server_abandon_listeners(&a->listeners);
        fail(a, error_text(ERR_MEMORY));
        return;
    }
    number_code(a);
    a->phase = RELOAD_COMMITTING;
}

static void prepared(struct reload_attempt *a)
{
    char why[RELOAD_WHY_BYTES] = "";
    bool reread = a->kind == RELOAD_LOAD && a->rereads < REREADS_MAX && half_written(a);
    a->rereads = reread ? a->rereads + 1 : 0;
    if (reread)
        once_more(a);
    else if (judge(a, why))
        fail(a, why);
    else
        commit(a);
}

static double milliseconds(uint64_t from_us, uint64_t to_us)
{
    return (double)(to_us - from_us) / 1000;
}

/* How long the commit took over all workers. */
struct span {
    uint64_t first_us;
    uint64_t last_us;
    uint64_t commit_us;
    const struct pauses *pauses; /* of the worker that was held up longest */
};

static struct span measure(const struct reload_round *round)
{
    struct span of = {.first_us = UINT64_MAX};
    for (uint32_t i = 0; i < round->workers; i++) {
        const struct reload_answer *a = &round->answers[i];
        of.first_us = a->began_us < of.first_us ? a->began_us : of.first_us;
        of.last_us = a->ended_us > of.last_us ? a->ended_us : of.last_us;
        if (a->pauses.commit.us > of.commit_us)
            of.commit_us = a->pauses.commit.us;
        if (!of.pauses || a->pauses.longest.us > of.pauses->longest.us)
            of.pauses = &a->pauses;
    }
    return of;
}

/* Nothing for a rollback that nobody has asked for: why it was done must be seen. */
static void note_briefly(struct reload_attempt *a, double ms)
{
    const char *slash = strrchr(a->options.app, '/');
    const char *name = slash ? slash + 1 : a->options.app;
    a->brief[0] = '\0';
    if (a->kind == RELOAD_LOAD)
        snprintf(a->brief, sizeof(a->brief), "reloaded %.80s (%.0f ms)", name, ms);
    else if (!a->wish.by_itself)
        snprintf(a->brief, sizeof(a->brief), "rolled back to the code of generation %u (%.0f ms)",
                 a->loaded_as, ms);
}

static void committed(struct reload_attempt *a)
{
    struct server *s = a->server;
    if (!a->options.fixed_listeners)
        server_commit_listeners(s, &a->listeners);
    const struct span span = measure(a->round);
    bool back = a->kind == RELOAD_BACK;
    count_shared(&s->counters, back ? COUNT_ROLLBACKS : COUNT_RELOADS, 1);
    char code[64] = "";
    char text[TEXT_BYTES];
    if (back)
        snprintf(code, sizeof(code), ", the code of generation %u", a->loaded_as);
    snprintf(text, sizeof(text),
             "%s%s (%s): generation %u serves%s, after %.1f ms; %u worker%s switched within %.2f "
             "ms; longest pause %.2f ms (%s), of the commit %.2f ms%s%s",
             back ? "rolled back" : "reloaded ", back ? "" : a->options.app, a->wish.cause,
             a->requests->generation, code, milliseconds(a->wish.since_us, span.last_us),
             s->worker_count, s->worker_count == 1 ? "" : "s",
             milliseconds(span.first_us, span.last_us), milliseconds(0, span.pauses->longest.us),
             pause_name(span.pauses->kind), milliseconds(0, span.commit_us),
             a->wish.by_itself ? "; " : "", a->wish.by_itself ? a->rollback_why : "");
    note_briefly(a, milliseconds(a->wish.since_us, span.last_us));
    end(a);
    a->ended(a, true, text);
}

static void on_overdue(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct reload_attempt *a = timer->data;
    if (a->phase == RELOAD_READING)
        fail(a, "its files were not read within limits.reload_seconds: the disk does not answer");
    else if (a->phase == RELOAD_PREPARING)
        fail(a, "a worker does not answer: a hook, or the top level, does not return");
    else if (a->phase == RELOAD_COMMITTING)
        log_write(&a->server->log, LOG_ERROR,
                  "a worker has not taken up generation %u yet: a hook does not return",
                  a->requests->generation);
}

/* ---- life ------------------------------------------------------------------------------------ */

void reload_attempt_step(struct reload_attempt *a)
{
    bool complete = reload_round_complete(a->round);
    if (a->phase == RELOAD_IDLE && !still_reads(a))
        reload_round_set_sources(a->round, NULL); /* no longer used */
    else if (a->phase == RELOAD_READING)
        read_files(a);
    else if (a->phase == RELOAD_PREPARING && complete)
        prepared(a);
    else if (a->phase == RELOAD_COMMITTING && complete)
        committed(a);
}

bool reload_attempt_is_loading(const struct reload_attempt *a)
{
    return a->kind == RELOAD_LOAD && (a->phase == RELOAD_READING || a->phase == RELOAD_PREPARING);
}

void reload_attempt_init(struct reload_attempt *a, struct server *s,
                         const struct reload_options *options, struct reload_requests *requests,
                         struct reload_files *files, struct reload_round *round,
                         void (*ended)(struct reload_attempt *a, bool ok, const char *text))
{
    *a = (struct reload_attempt){
        .server = s,
        .options = *options,
        .requests = requests,
        .files = files,
        .round = round,
        .loaded_as = requests->generation,
        .ended = ended,
    };
    ev_timer_init(&a->overdue, on_overdue, 0, 0);
    a->overdue.data = a;
}

void reload_attempt_deinit(struct reload_attempt *a)
{
    ev_timer_stop(a->server->loop, &a->overdue);
    server_abandon_listeners(&a->listeners);
}
